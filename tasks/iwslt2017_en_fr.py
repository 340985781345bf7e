"""IWSLT 2017, English to French: sentences of talks; train pairs support, test sentences are asked."""

from tasks._translation import Iwslt2017


class Iwslt2017EnFr(Iwslt2017):
    """Translation of talks from English to French, prompted as published (arXiv 2605.04651)."""

    source = "en"
    target = "fr"


PLUGIN = Iwslt2017EnFr
