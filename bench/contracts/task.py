"""A task: a data set, its splits and prompts, declared once and pinned to a revision."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from datasets import Dataset

from bench.contracts.errors import DataError
from bench.contracts.kinds import Kind
from bench.contracts.references import Target, references


@dataclass(frozen=True)
class Protocol:
    """Default draw of episodes.

    Attributes:
        episodes: Draws per seed.
        queries: Query items per class.
        ways: Classes per episode; None for all.
    """

    episodes: int = 600
    queries: int = 20
    ways: int | None = None


@dataclass(frozen=True)
class Pool:
    """Items that episodes draw from.

    Attributes:
        inputs: A data set whose only column is ``input`` (a PIL image, or a prompt that ends where the answer begins).
        labels: ``[item]``, integers from 0 to the number of classes - 1; all 0 in tasks without classes.
        targets: ``[item]``, reference texts of tasks of text generation, one or a tuple of several for each item;
            methods see the first of each item of the support pool, and none of the query pool.
    """

    inputs: Dataset
    labels: np.ndarray
    targets: Sequence[Target] | None = None

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
        empty = [row for row, target in enumerate(self.targets or ()) if not references(target)]
        if empty:
            raise DataError(f"a pool needs one reference text or more for each item, got none for item {empty[0]}")

    @classmethod
    def of_texts(cls, texts: Sequence[str], targets: Sequence[Target] | None = None) -> "Pool":
        """A pool of one class.

        Args:
            texts: Texts to model, or prompts.
            targets: Reference texts after the prompts, one or a tuple of several for each; None for texts to model.

        Returns:
            The pool, all labels 0.
        """
        inputs = Dataset.from_dict({"input": list(texts)})
        return cls(inputs, np.zeros(len(texts), dtype=np.int64), targets)


@dataclass(frozen=True)
class TaskData:
    """The data of a task.

    Attributes:
        support: Pool of support items.
        query: Pool of query items; it shares no item with the support pool.
        classes: Class names, in the order of the labels.
        revision: Text that changes whenever the pools change.
        notes: What a user should know of how the data were read, a line each.
    """

    support: Pool
    query: Pool
    classes: tuple[str, ...]
    revision: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for split, pool in (("support", self.support), ("query", self.query)):
            if len(pool.labels) == 0:
                raise DataError(f"the {split} pool has no items; it needs at least one of each class")
            low, high = int(pool.labels.min()), int(pool.labels.max())
            if low < 0 or high >= len(self.classes):
                raise DataError(f"{split} labels must lie in 0..{len(self.classes) - 1}, got {low}..{high}")


class Task(ABC):
    """A task plugin. Its file name is its name; the module's ``PLUGIN`` is the class.

    A task with variants takes the argument after the colon of its name (``iwslt2017:de-en``) in its constructor, where
    it sets what depends on the variant. A default value of that parameter names the variant of the bare name.

    Attributes:
        variants: Arguments of the task with a one-line summary each; empty for a task without variants. A literal in
            the class that is ``PLUGIN``, since ``bench list`` reads it without importing the module.
        kind: The kind of task.
        metric: Name of the metric; None for the default of the kind.
        prompts: Texts that a class name is put into before it is embedded: one, or several for an ensemble; text tasks
            have one.
        templates: Forms of the prompts of a task of texts or of text generation, with ``{text}`` where an item's text
            stands. The first is the one that the task makes its prompts by; a run may choose another. Literals, which
            are no part of the hash of the code: the template of a run is in its identity. Forms of a translation, which
            has ``languages``, ``source_language`` and ``target_language``, name its languages by ``{source}`` and
            ``{target}``.
        separator: Text between two demonstrations.
        content_free: Prompts of a text task whose text says nothing, by which answers are calibrated; empty for none.
        system_message: System message of the prompts as a chat; None for the one of the model's template.
        window: Tokens that are scored at a time in tasks of language modelling; fewer where a model reads fewer.
        stride: Tokens from one window to the next; None for windows that do not overlap, "rolling" for those of
            lm-evaluation-harness. Each token is scored once.
        max_new_tokens: Tokens of the longest written answer in tasks of text generation.
        stop: Texts that end a written answer; they are not a part of it. Line breaks before the answer are skipped.
        beams: Beams of the search for an answer; 1 for the likeliest token at each step.
        instruction: Text before the demonstrations and the prompt, once, in plain prompts; in a chat it is the system
            message, unless the task has another.
        answer_set: Parts that written answers are made of, for metrics that count no others; empty for free text.
        prior_strength: N0, the number of labelled examples that the zero-shot prior counts for; 0 where class names
            mean nothing to a model, None for the backbone's own default.
        protocol: How episodes are drawn by default.
        version: Part of a record's identity; change it where values change and the code does not, as with a compiled
            library.
        size: Number of items of both pools and of classes in words, for ``bench show``; empty where they are not known
            before the data are read. It is no part of the hash of the code.
        citation: Where the data comes from, and its licence.
    """

    variants: ClassVar[Mapping[str, str]] = {}
    version: ClassVar[str] = ""
    kind: Kind
    metric: str | None = None
    prompts: tuple[str, ...] = ("{label}",)
    templates: tuple[str, ...] = ()
    separator: str = "\n"
    content_free: tuple[str, ...] = ()
    system_message: str | None = None
    window: int = 1024
    stride: int | Literal["rolling"] | None = None
    max_new_tokens: int = 60
    stop: tuple[str, ...] = ("\n",)
    beams: int = 5
    instruction: str = ""
    answer_set: tuple[str, ...] = ()
    prior_strength: float | None = None
    protocol: Protocol = Protocol()
    size: str = ""
    citation: str

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # A forgotten comma would make every letter a prompt.
        if isinstance(cls.prompts, str) or not all("{label}" in prompt for prompt in cls.prompts):
            raise TypeError(f"{cls.__name__}.prompts must be a tuple of texts with {{label}} in them")
        if isinstance(cls.templates, str) or not all("{text}" in template for template in cls.templates):
            raise TypeError(f"{cls.__name__}.templates must be a tuple of texts with {{text}} in them")

    @abstractmethod
    def load(self, data: Path | None) -> TaskData:
        """Read the data set.

        Args:
            data: Folder of local copies (``--data`` or ``BENCH_DATA``); None for the task's own source.

        Returns:
            Support pool, query pool, class names and revision.

        Raises:
            DataError: If the data is missing or unreadable; the message names the local option.
        """
