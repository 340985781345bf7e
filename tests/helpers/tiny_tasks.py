"""Tasks of a few texts for tiny decoders, and runners that know them as if a package had brought them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from rich.console import Console

from bench.contracts import Kind, Pool, Protocol, Task, TaskData
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.results.store import Store
from bench.runs.progress import RichReporter
from bench.runs.runner import Runner
from tests.helpers.language import WORDS
from tests.helpers.packages import declared

TEXTS = [
    f"Word: {word}\nSentiment: {mood}\nvery {mood}, indeed\n" for word, mood in zip("abcdef", "xyzxyz", strict=True)
]
"""Three support texts, then three queries."""
SENTENCES = ["very good", "very bad", "happy word", "awful word", "indeed"]


class TinyText(Task):
    """Texts of a few tokens; longer than a window."""

    kind = Kind.LANGUAGE_MODELLING
    protocol = Protocol(episodes=1, queries=3)
    window = 16
    citation = "made for tests"

    def load(self, data: Path | None) -> TaskData:
        return TaskData(Pool.of_texts(TEXTS[:3]), Pool.of_texts(TEXTS[3:]), ("text",), "1")


class TinyTextSliding(TinyText):
    """The same texts in windows that overlap."""

    stride = 8


class TinyTextRolling(TinyText):
    """The same texts, every token scored."""

    stride = "rolling"
    metric = "word_perplexity"


class TinyTranslation(Task):
    """Sentences to be said again in capitals."""

    kind = Kind.TEXT_GENERATION
    metric = "bleu"
    protocol = Protocol(episodes=1, queries=3)
    max_new_tokens = 6
    citation = "made for tests"

    def load(self, data: Path | None) -> TaskData:
        prompts = [f"Please: {sentence}\nNow:" for sentence in SENTENCES]
        targets = [f" {sentence.upper()}" for sentence in SENTENCES]
        support, query = (Pool.of_texts(prompts[part], targets[part]) for part in (slice(2), slice(2, None)))
        return TaskData(support, query, ("text",), "1")


class TinyWords(Task):
    """Two support words and one query word of each class; answers are one token after a prompt and in a turn."""

    kind = Kind.TEXT_CLASSIFICATION
    protocol = Protocol(episodes=1, queries=1)
    citation = "made for tests"

    def load(self, data: Path | None) -> TaskData:
        prompts = [f"Word: {word}\nSentiment:" for word in WORDS]
        support, query = (
            Pool(Dataset.from_dict({"input": prompts[part]}), np.arange(len(prompts[part])) % 2)
            for part in (slice(4), slice(4, None))
        )
        return TaskData(support, query, ("s", "a"), "1")


TASKS = {
    name: f"{__name__}:{task.__name__}"
    for name, task in {
        "tiny_text": TinyText,
        "tiny_text_sliding": TinyTextSliding,
        "tiny_text_rolling": TinyTextRolling,
        "tiny_translation": TinyTranslation,
        "tiny_words": TinyWords,
    }.items()
}
"""Entry points by name."""


@contextmanager
def tiny_runner(folder: Path, **options: Any) -> Iterator[Runner]:
    """A runner with a store in a folder, as long as the tasks are found.

    Args:
        folder: An empty folder.
        **options: Further options of the runner.

    Yields:
        The runner.
    """
    with declared(folder / "site", {"bench.tasks": TASKS}):
        quiet_lightning()
        devices, reporter = DeviceOptions(accelerator="cpu"), RichReporter(Console(quiet=True))
        yield Runner(Store(folder / "store"), devices, reporter, **options)
