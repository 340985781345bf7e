"""A task: a data set, its splits and prompts, declared once and pinned to a revision."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from datasets import Dataset

from bench.contracts.errors import DataError
from bench.contracts.kinds import Kind


@dataclass(frozen=True)
class Protocol:
    """How episodes are drawn unless the user says otherwise.

    episodes: draws per seed. queries: query items per class. ways: classes per episode, None for all.
    """

    episodes: int = 600
    queries: int = 20
    ways: int | None = None


@dataclass(frozen=True)
class Pool:
    """Items that episodes draw from.

    inputs: a data set whose only column is ``input`` (a PIL image, or a prompt that stops where the
        answer begins).
    labels: ``[item]``, integers from 0 to the number of classes - 1; all 0 where there is nothing to choose from.
    targets: ``[item]``, what should be written after each prompt, for tasks that are not a choice; a method is
        given those of the support pool, never those of the query pool.
    """

    inputs: Dataset
    labels: np.ndarray
    targets: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.inputs.column_names != ["input"]:
            raise DataError(f"a pool's inputs need the one column 'input', got {self.inputs.column_names}")
        if len(self.inputs) != len(self.labels):
            raise DataError(
                f"a pool needs one label per input, got {len(self.inputs)} inputs and {len(self.labels)} labels"
            )
        if self.targets is not None and len(self.targets) != len(self.labels):
            raise DataError(
                f"a pool needs one target per input, got {len(self.inputs)} inputs and {len(self.targets)} targets"
            )

    @classmethod
    def of_texts(cls, texts: Sequence[str], targets: Sequence[str] | None = None) -> "Pool":
        """Texts to model, or prompts with what should be written after each: items of one class."""
        inputs = Dataset.from_dict({"input": list(texts)})
        return cls(inputs, np.zeros(len(texts), dtype=np.int64), targets)


@dataclass(frozen=True)
class TaskData:
    """What a task loads: two pools that share no item, and a revision that changes when they do."""

    support: Pool
    query: Pool
    classes: tuple[str, ...]
    revision: str

    def __post_init__(self) -> None:
        for split, pool in (("support", self.support), ("query", self.query)):
            if len(pool.labels) == 0:
                raise DataError(f"the {split} pool has no items; it needs at least one of each class")
            low, high = int(pool.labels.min()), int(pool.labels.max())
            if low < 0 or high >= len(self.classes):
                raise DataError(f"{split} labels must lie in 0..{len(self.classes) - 1}, got {low}..{high}")


class Task(ABC):
    """A task plugin. Its file name is its name; the module's ``PLUGIN`` is the class."""

    kind: ClassVar[Kind]
    metric: ClassVar[str | None] = None
    """The name of the metric that scores it; None for the default of its kind."""
    prompts: ClassVar[tuple[str, ...]] = ("{label}",)
    """What a class name is put into before it is embedded: one, or several for an ensemble; text tasks have one."""
    separator: ClassVar[str] = "\n"
    """What stands between two demonstrations."""
    window: ClassVar[int] = 1024
    """Tokens that a text is scored in at a time, in tasks of language modelling; fewer where a model reads fewer."""
    stride: ClassVar[int | None] = None
    """Tokens from one window to the next; None for windows that do not overlap. Each token is scored once."""
    max_new_tokens: ClassVar[int] = 60
    """The longest answer, in tasks of translation."""
    prior_strength: ClassVar[float | None] = None
    """What the prior is worth here; 0 where labels mean nothing to it, None for the backbone's own default."""
    protocol: ClassVar[Protocol] = Protocol()
    version: ClassVar[str] = ""
    """Part of a record's identity; change it where values change and the code does not, as with a compiled library."""
    citation: ClassVar[str]
    """Where the data comes from, and its licence."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # A forgotten comma would make every letter a prompt.
        if isinstance(cls.prompts, str) or not all("{label}" in prompt for prompt in cls.prompts):
            raise TypeError(f"{cls.__name__}.prompts must be a tuple of texts with {{label}} in them")

    @abstractmethod
    def load(self, data: Path | None) -> TaskData:
        """Read the data set.

        data: folder of local copies (``--data`` or ``BENCH_DATA``), None to use the task's own source.
        Raises DataError if it cannot be had, naming the local option.
        """
