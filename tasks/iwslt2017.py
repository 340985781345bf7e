"""IWSLT 2017: translation of talks; train pairs as support, test sentences as queries. Needs a direction."""

from typing import ClassVar

from bench.toolkit.sources import Source
from tasks._translation import Translation


class Iwslt2017(Translation):
    """Translation of sentences of talks, prompted as published (arXiv 2605.04651).

    Each direction is a data set of its own. As a chat, prompts have the published system message.
    """

    variants: ClassVar = {
        "de-en": "German to English",
        "en-de": "English to German",
        "en-fr": "English to French",
        "fr-en": "French to English",
    }
    system_message = "You are a helpful assistant."
    size = (
        "206,112 support pairs and 8,079 query sentences of German and English, 232,825 and 8,597 of French and "
        "English, without pairs that are queries too"
    )
    citation = "Cettolo et al., Overview of the IWSLT 2017 Evaluation Campaign, IWSLT 2017, CC BY-NC-ND 4.0"

    def __init__(self, direction: str) -> None:
        """Choose a direction.

        Args:
            direction: Codes of two languages, such as ``de-en``.
        """
        super().__init__(direction)
        config = f"iwslt2017-{direction}"
        self.source = Source(
            config,
            "IWSLT/iwslt2017",
            # Of the branch refs/convert/parquet: main holds a loading script, which is not run here.
            "19f9d9f69207076a345407bba0976583a15a4b2e",
            splits=(("train", "validation"), "test"),
            files=f"{config}/{{split}}/0000.parquet",
        )


PLUGIN = Iwslt2017
