"""IWSLT 2017, German to English, as a chat: how instruction-tuned models were asked where results are published."""

from bench.toolkit.chat import ChatTask
from tasks._translation import SYSTEM_MESSAGE
from tasks.iwslt2017_de_en import Iwslt2017DeEn


class Iwslt2017DeEnChat(ChatTask, Iwslt2017DeEn):
    """Translation of talks from German to English, with the published system message (arXiv 2605.04651)."""

    system = SYSTEM_MESSAGE


PLUGIN = Iwslt2017DeEnChat
