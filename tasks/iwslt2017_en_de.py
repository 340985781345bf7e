"""IWSLT 2017, English to German: sentences of talks; train pairs support, test sentences are asked."""

from tasks._translation import Iwslt2017


class Iwslt2017EnDe(Iwslt2017):
    """Translation of talks from English to German, prompted as published (arXiv 2605.04651)."""

    source = "en"
    target = "de"


PLUGIN = Iwslt2017EnDe
