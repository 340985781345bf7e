"""Python's language reference: perplexity on the topics of ``help()``, half of them for support."""

from pathlib import Path
from pydoc_data.topics import topics
from typing import ClassVar, Literal

import numpy as np

from bench.contracts import Kind, Pool, Protocol, Task, TaskData
from bench.toolkit.files import text_hash
from bench.toolkit.splits import stratified_halves

SPLIT_SEED = 0
MIN_CHARACTERS = 200


def topic_texts(found: dict[str, str]) -> list[str]:
    """The texts of topics by name: each once, short ones left out.

    Some topics share a text (``if`` and ``else``), which must not be in both pools.

    Args:
        found: Texts by topic.

    Returns:
        The texts.
    """
    texts = [found[name].strip() for name in sorted(found)]
    return list(dict.fromkeys(text for text in texts if len(text) >= MIN_CHARACTERS))


class PydocText(Task):
    """Perplexity per token; an item is a topic. The text is part of CPython and changes with its version."""

    variants: ClassVar = {
        "rolling": "windows of lm-evaluation-harness, in which every token is scored: perplexity per word"
    }
    kind = Kind.LANGUAGE_MODELLING
    protocol = Protocol(episodes=1, queries=20)
    size = "39 support and 39 query topics in Python 3.11; other versions have other topics"
    citation = "Python Software Foundation, The Python Language Reference, PSF licence, module pydoc_data.topics"

    def __init__(self, windows: Literal["rolling"] | None = None) -> None:
        """Choose the windows.

        Args:
            windows: "rolling" for those of lm-evaluation-harness; None for windows that do not overlap.
        """
        if windows == "rolling":
            self.stride, self.metric = "rolling", "word_perplexity"

    def load(self, data: Path | None) -> TaskData:
        """Read the topics of the running Python.

        Args:
            data: Unused; the text is part of CPython.

        Returns:
            Halves of the topics.
        """
        texts = topic_texts(topics)
        support, query = (
            Pool.of_texts([texts[position] for position in half])
            for half in stratified_halves(np.zeros(len(texts), dtype=np.int64), SPLIT_SEED)
        )
        return TaskData(support, query, ("text",), text_hash(*texts, str(SPLIT_SEED)))


PLUGIN = PydocText
