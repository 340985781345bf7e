"""IWSLT 2017, English to French, as a chat: how instruction-tuned models were asked where results are published."""

from bench.toolkit.chat import ChatTask
from tasks._translation import SYSTEM_MESSAGE
from tasks.iwslt2017_en_fr import Iwslt2017EnFr


class Iwslt2017EnFrChat(ChatTask, Iwslt2017EnFr):
    """Translation of talks from English to French, with the published system message (arXiv 2605.04651)."""

    system = SYSTEM_MESSAGE


PLUGIN = Iwslt2017EnFrChat
