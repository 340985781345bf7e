"""Multi30k, German to English: descriptions of photographs; train pairs support, test sentences are asked."""

from tasks.multi30k import Multi30k


class Multi30kDeEn(Multi30k):
    """Translation of short descriptions from German to English."""

    source = "de"
    target = "en"


PLUGIN = Multi30kDeEn
