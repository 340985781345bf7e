"""Multi30k, English to German: descriptions of photographs; train pairs support, test sentences are asked."""

from bench.toolkit.sources import Source
from tasks._translation import Translation


class Multi30k(Translation):
    """Translation of short descriptions from English to German; variants turn it round or are French."""

    citation = "Elliott et al., Multi30K: Multilingual English-German Image Descriptions, VL 2016; licence not stated"
    corpus = Source(
        "multi30k",
        "bentrevett/multi30k",
        # Of the branch refs/convert/parquet.
        "95bca55cfe18eb805d1a6d505e683430633c57c7",
        splits=(("train", "validation"), "test"),
        files="default/{split}/0000.parquet",
    )
    source = "en"
    target = "de"


PLUGIN = Multi30k
