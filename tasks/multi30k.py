"""Multi30k: translation of descriptions of photographs; train pairs as support, test sentences as queries."""

from typing import ClassVar

from bench.toolkit.sources import Source
from tasks._translation import Translation


class Multi30k(Translation):
    """Translation of short descriptions of photographs."""

    variants: ClassVar = {
        "en-de": "English to German, the default",
        "de-en": "German to English",
        "en-fr": "English to French; the hub's copy has no French, so it needs --data",
        "fr-en": "French to English; the hub's copy has no French, so it needs --data",
    }
    size = "29,000 support pairs and 1,000 query sentences, without pairs that are queries too"
    citation = "Elliott et al., Multi30K: Multilingual English-German Image Descriptions, VL 2016; licence not stated"
    source = Source(
        "multi30k",
        "bentrevett/multi30k",
        # Of the branch refs/convert/parquet.
        "95bca55cfe18eb805d1a6d505e683430633c57c7",
        splits=(("train", "validation"), "test"),
        files="default/{split}/0000.parquet",
    )

    def __init__(self, direction: str = "en-de") -> None:
        """Choose a direction.

        Args:
            direction: Codes of two languages, such as ``de-en``.
        """
        super().__init__(direction)


PLUGIN = Multi30k
