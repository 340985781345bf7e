"""Prompts made of rows of texts, and text classification whose publisher split it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import datasets
import numpy as np
from datasets import Dataset

from bench.contracts import DataError, Kind, Pool, Protocol, Task, TaskData
from bench.toolkit.columns import require_columns
from bench.toolkit.sources import Source

NAMES_SHOWN = 4


def require_texts(name: str, texts: Sequence[Any]) -> list[str]:
    """The texts. Raises DataError, with the number and the first, for rows that hold none."""
    wrong = [row for row, text in enumerate(texts) if not isinstance(text, str) or not text.strip()]
    if wrong:
        raise DataError(
            f"{name} needs a text in every row; {len(wrong)} rows have none, the first is row {wrong[0]} with "
            f"{texts[wrong[0]]!r}; fill or remove them"
        )
    return list(texts)


def first_words(text: str, count: int | None) -> str:
    """The first ``count`` words with single spaces between them; the text as it is if ``count`` is None."""
    return text if count is None else " ".join(text.split()[:count])


def known_labels(name: str, rows: Dataset, column: str, classes: Sequence[str]) -> np.ndarray:
    """``[row]`` positions in ``classes`` of labels that are names there, or already numbers.

    Raises DataError, with the number and the first, for others.
    """
    feature, labels = rows.features[column], list(rows[column])
    if isinstance(feature, datasets.ClassLabel):
        # By name, in case the data count their classes in another order.
        names = dict(enumerate(feature.names))
        labels = [names.get(label, label) for label in labels]
    positions: dict[Any, int] = {key: number for number, named in enumerate(classes) for key in (number, named)}
    found = np.array([positions.get(label, -1) for label in labels], dtype=np.int64)
    wrong = np.flatnonzero(found < 0)
    if len(wrong):
        named = ", ".join(classes[:NAMES_SHOWN]) + (", ..." if len(classes) > NAMES_SHOWN else "")
        raise DataError(
            f"{name} needs labels in 0..{len(classes) - 1} or their names ({named}); {len(wrong)} rows have others, "
            f"the first is row {wrong[0]} with {labels[wrong[0]]!r}"
        )
    return found


def prompt_pool(prompts: Sequence[str], labels: np.ndarray) -> Pool:
    """A pool of prompts."""
    return Pool(Dataset.from_dict({"input": list(prompts)}), labels)


class PublishedTexts(Task):
    """Texts as published, the first split for support and the second to ask; a subclass names data and classes.

    A support text that is also asked, word for word as far as the prompt shows it, is left out of the support.
    """

    kind = Kind.TEXT_CLASSIFICATION
    # A language model takes a second or so for each query on a CPU.
    protocol = Protocol(episodes=3, queries=50)
    source: ClassVar[Source]
    columns: ClassVar[tuple[str, str]] = ("text", "label")
    """Where the texts are and where the labels."""
    template: ClassVar[str]
    """The prompt, with ``{text}`` in it."""
    words: ClassVar[int | None] = None
    """How many words of a text are shown; None for all of it, as it stands."""
    classes: ClassVar[tuple[str, ...]]
    """Names of the classes in the data."""
    answers: ClassVar[tuple[str, ...]]
    """What follows the prompt, by class."""

    def load(self, data: Path | None) -> TaskData:
        """Prompts of the published split. Raises DataError for a row without a text or with another label."""
        splits, revision = self.source.load(data)
        (support, given), (query, asked) = (self._read(split, rows) for split, rows in splits.items())
        in_query = set(query)
        kept = [row for row, prompt in enumerate(support) if prompt not in in_query]
        return TaskData(
            prompt_pool([support[row] for row in kept], given[kept]),
            prompt_pool(query, asked),
            self.answers,
            f"{revision}; {self.template!r}, words: {self.words or 'all'}",
        )

    def _read(self, split: str, rows: Dataset) -> tuple[list[str], np.ndarray]:
        """Prompts and labels of a split."""
        name, (text, label) = f"{self.source.folder} {split}", self.columns
        require_columns(name, rows, text, label)
        texts = require_texts(name, list(rows[text]))
        prompts = [self.template.format(text=first_words(text, self.words)) for text in texts]
        return prompts, known_labels(name, rows, label, self.classes)


class Reviews(PublishedTexts):
    """Is a review negative or positive? The prompt is published for SST-2 and IMDB (arXiv 2605.04651)."""

    template = "Review: {text}\nSentiment:"
    classes = ("neg", "pos")
    answers = (" negative", " positive")
