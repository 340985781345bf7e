"""IWSLT 2017, English to German, as a chat: how instruction-tuned models were asked where results are published."""

from bench.toolkit.chat import ChatTask
from tasks._translation import SYSTEM_MESSAGE
from tasks.iwslt2017_en_de import Iwslt2017EnDe


class Iwslt2017EnDeChat(ChatTask, Iwslt2017EnDe):
    """Translation of talks from English to German, with the published system message (arXiv 2605.04651)."""

    system = SYSTEM_MESSAGE


PLUGIN = Iwslt2017EnDeChat
