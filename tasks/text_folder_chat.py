"""Your own texts under --data DIR, laid out as for text_folder, asked through the model's chat template."""

from bench.toolkit.chat import ChatTask
from tasks.text_folder import TextFolder


class TextFolderChat(ChatTask, TextFolder):
    """Classification of texts that a user brings, as a chat; folders and tables are those of text_folder."""


PLUGIN = TextFolderChat
