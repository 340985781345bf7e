"""Prompts from rows of texts, and text classification with a published split."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import datasets
import numpy as np
from datasets import Dataset

from bench.contracts import DataError, Kind, Pool, Protocol, Task, TaskData
from bench.toolkit.columns import require_columns
from bench.toolkit.sources import Source
from tasks._copies import other_than_queries

NAMES_SHOWN = 4
CONTENT_FREE = ("N/A", "", "[MASK]")
"""Texts that say nothing, by which a model's leaning to an answer is measured (Zhao et al. 2021, arXiv 2102.09690)."""


def require_texts(name: str, texts: Sequence[Any]) -> list[str]:
    """Texts of rows that all have one.

    Args:
        name: Name of the data, for messages.
        texts: Values of a column.

    Returns:
        The same texts.

    Raises:
        DataError: For rows without a text, with their number and the first of them.
    """
    wrong = [row for row, text in enumerate(texts) if not isinstance(text, str) or not text.strip()]
    if wrong:
        raise DataError(
            f"{name} needs a text in every row; {len(wrong)} rows have none, the first is row {wrong[0]} with "
            f"{texts[wrong[0]]!r}; fill or remove them"
        )
    return list(texts)


def first_words(text: str, count: int | None) -> str:
    """The first words of a text, parted by single spaces as published (arXiv 2605.04651), so that spaces are kept.

    Args:
        text: The text.
        count: Number of words, empty ones between two spaces included; None for the whole text.

    Returns:
        The beginning of the text, or all of it.
    """
    return text if count is None else " ".join(text.split(" ")[:count])


def known_labels(name: str, rows: Dataset, column: str, classes: Sequence[str]) -> np.ndarray:
    """Labels of rows as positions in a list of classes.

    Args:
        name: Name of the data, for messages.
        rows: The rows.
        column: Column of the labels, which are class names or already positions.
        classes: Class names.

    Returns:
        ``[row]`` positions in ``classes``.

    Raises:
        DataError: For other labels, with their number and the first of them.
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
    """A pool of prompts.

    Args:
        prompts: The prompts.
        labels: ``[item]`` labels.

    Returns:
        The pool.
    """
    return Pool(Dataset.from_dict({"input": list(prompts)}), labels)


class PublishedTexts(Task):
    """Classification of texts with a published split, the first for support and the second for queries.

    A subclass defines the data and the classes. A support text with the prompt of a query is left out of the support
    pool.

    Attributes:
        source: The published data.
        columns: Columns of the texts and of the labels.
        template: The prompt, with ``{text}`` in it.
        words: Number of words of a text in the prompt; None for the whole text.
        classes: Names of the classes in the data.
        answers: Class names as answers, after the prompt.
    """

    kind = Kind.TEXT_CLASSIFICATION
    # A language model takes a second or so for each query on a CPU.
    protocol = Protocol(episodes=3, queries=50)
    source: ClassVar[Source]
    columns: ClassVar[tuple[str, str]] = ("text", "label")
    template: ClassVar[str]
    words: ClassVar[int | None] = None
    classes: ClassVar[tuple[str, ...]]
    answers: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if hasattr(cls, "template"):
            cls.content_free = tuple(cls.template.format(text=text) for text in CONTENT_FREE)

    def load(self, data: Path | None) -> TaskData:
        """Read the published split.

        Args:
            data: Folder of local copies; None for the hub.

        Returns:
            Prompts of both splits.

        Raises:
            DataError: For a row without a text or with another label.
        """
        splits, revision = self.source.load(data)
        (support, given), (query, query_labels) = (self._read(split, rows) for split, rows in splits.items())
        kept = other_than_queries(support, query)
        return TaskData(
            prompt_pool([support[row] for row in kept], given[kept]),
            prompt_pool(query, query_labels),
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
    """Sentiment of reviews, negative or positive. The prompt is published for SST-2 and IMDB (arXiv 2605.04651)."""

    template = "Review: {text}\nSentiment:"
    templates = (
        "Review: {text}\nSentiment:",
        "Review: {text}\nAnswer:",
        "Review: {text}\nQuestion: Is the sentiment of this review positive or negative?\nAnswer:",
        "{text}\nThe sentiment of this review is",
        'One of our critics wrote "{text}". The critic\'s sentiment towards the film was',
    )
    classes = ("neg", "pos")
    answers = (" negative", " positive")
