"""IWSLT 2017, French to English, as a chat: how instruction-tuned models were asked where results are published."""

from bench.toolkit.chat import ChatTask
from tasks._translation import SYSTEM_MESSAGE
from tasks.iwslt2017_fr_en import Iwslt2017FrEn


class Iwslt2017FrEnChat(ChatTask, Iwslt2017FrEn):
    """Translation of talks from French to English, with the published system message (arXiv 2605.04651)."""

    system = SYSTEM_MESSAGE


PLUGIN = Iwslt2017FrEnChat
