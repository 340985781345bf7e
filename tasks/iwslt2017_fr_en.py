"""IWSLT 2017, French to English: sentences of talks; train pairs support, test sentences are asked."""

from tasks._translation import Iwslt2017


class Iwslt2017FrEn(Iwslt2017):
    """Translation of talks from French to English, prompted as published (arXiv 2605.04651)."""

    source = "fr"
    target = "en"


PLUGIN = Iwslt2017FrEn
