"""Lexicon as a chat: is a word positive or negative? The word is the user's turn, the answer the assistant's."""

from bench.toolkit.chat import ChatTask
from tasks.lexicon import Lexicon


class LexiconChat(ChatTask, Lexicon):
    """Two-way sentiment of single words, asked through the chat template of a model that was tuned for it."""


PLUGIN = LexiconChat
