"""Multi30k, French to English: descriptions of photographs; train pairs support, test sentences are asked."""

from tasks.multi30k import Multi30k


class Multi30kFrEn(Multi30k):
    """Translation of short descriptions from French to English. The hub's copy has no French: it needs --data."""

    source = "fr"
    target = "en"


PLUGIN = Multi30kFrEn
