"""Multi30k, English to French: descriptions of photographs; train pairs support, test sentences are asked."""

from tasks.multi30k import Multi30k


class Multi30kEnFr(Multi30k):
    """Translation of short descriptions from English to French. The hub's copy has no French: it needs --data."""

    source = "en"
    target = "fr"


PLUGIN = Multi30kEnFr
