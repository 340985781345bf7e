"""IWSLT 2017, German to English: sentences of talks; train pairs support, test sentences are asked."""

from tasks._translation import Iwslt2017


class Iwslt2017DeEn(Iwslt2017):
    """Translation of talks from German to English, prompted as published (arXiv 2605.04651)."""

    source = "de"
    target = "en"


PLUGIN = Iwslt2017DeEn
