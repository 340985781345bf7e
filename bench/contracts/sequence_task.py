"""Sequences of tasks as one task: pools side by side, over the union of the classes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import get_annotations
from pathlib import Path

import numpy as np
from datasets import concatenate_datasets

from bench.contracts.errors import UsageError
from bench.contracts.kinds import CLASSIFICATION
from bench.contracts.sequence import joined_name
from bench.contracts.task import Pool, Protocol, Task, TaskData

ADOPTED = get_annotations(Task).keys() - {"variants", "version", "prior_strength", "protocol", "size", "citation"}
"""Attributes of a sequence that are those of its first task."""


@dataclass(frozen=True)
class SequencePart:
    """One task of a sequence, and where its items and classes are in the joined data.

    Attributes:
        name: Name of the task.
        data: Its own data.
        support_start: Position of its first support item in the joined support pool.
        query_start: Position of its first query item in the joined query pool.
        classes: ``[own class]``, the number of each of its classes among the joined ones.
    """

    name: str
    data: TaskData
    support_start: int
    query_start: int
    classes: np.ndarray


@dataclass(frozen=True)
class SequenceData(TaskData):
    """The data of a sequence: pools one after the other; classes of one name are one class.

    Attributes:
        parts: The tasks in order.
    """

    parts: tuple[SequencePart, ...] = ()

    @classmethod
    def of(cls, names: Sequence[str], given: Sequence[TaskData]) -> "SequenceData":
        """Join the data of several tasks.

        Args:
            names: Names of the tasks in order.
            given: Their data.

        Returns:
            The joined data.
        """
        classes = tuple(dict.fromkeys(name for data in given for name in data.classes))
        number = {name: place for place, name in enumerate(classes)}
        parts, support_start, query_start = [], 0, 0
        for name, data in zip(names, given, strict=True):
            own = np.array([number[each] for each in data.classes], dtype=np.int64)
            parts.append(SequencePart(name, data, support_start, query_start, own))
            support_start += len(data.support.labels)
            query_start += len(data.query.labels)
        revision = hashlib.sha256("\n".join(data.revision for data in given).encode()).hexdigest()
        return cls(
            _joined([part.data.support for part in parts], parts),
            _joined([part.data.query for part in parts], parts),
            classes,
            revision,
            tuple(dict.fromkeys(note for data in given for note in data.notes)),
            tuple(parts),
        )

    def part_of_query(self, positions: np.ndarray) -> np.ndarray:
        """Which task some queries are of.

        Args:
            positions: Positions in the joined query pool.

        Returns:
            Numbers of the tasks, in the same shape.
        """
        starts = [part.query_start for part in self.parts]
        return np.searchsorted(starts, positions, side="right") - 1


class SequenceTask(Task):
    """Several tasks of classification that are learnt one after the other.

    Prompts, separator and everything else that holds for all tasks are the first one's; class names are embedded by the
    prompts of the task that has them first. N0 is the tasks' own where they agree, else the backbone's. Episodes have
    all classes of each task.
    """

    def __init__(self, names: Sequence[str], tasks: Sequence[Task]) -> None:
        """Join tasks.

        Args:
            names: Their names in order.
            tasks: The tasks.

        Raises:
            UsageError: If a task is named twice, if one has no classes, or if they differ in their kind or metric.
        """
        self.names, self.tasks, first = tuple(names), tuple(tasks), tasks[0]
        what = joined_name(names)
        if twice := [name for name in names if list(names).count(name) > 1]:
            raise UsageError(f"a sequence learns each task once, got {twice[0]} twice in {what}; leave one out")
        for name, task in zip(names, tasks, strict=True):
            if task.kind not in CLASSIFICATION:
                raise UsageError(f"a sequence needs tasks with classes, and {name} is {task.kind}; leave it out")
            if (task.kind, task.metric) != (first.kind, first.metric):
                raise UsageError(
                    f"the tasks of a sequence need one kind and one metric: {names[0]} is {first.kind}, {name} is "
                    f"{task.kind}; make it of tasks of one kind"
                )
        for attribute in ADOPTED:
            if hasattr(first, attribute):
                setattr(self, attribute, getattr(first, attribute))
        self.citation = "; ".join(dict.fromkeys(task.citation for task in tasks))
        strengths = {task.prior_strength for task in tasks}
        self.prior_strength = strengths.pop() if len(strengths) == 1 else None
        self.protocol = Protocol(
            episodes=min(task.protocol.episodes for task in tasks), queries=min(task.protocol.queries for task in tasks)
        )

    def load(self, data: Path | None) -> SequenceData:
        """Read the data of all tasks.

        Args:
            data: Folder of local copies; None for each task's own source.

        Returns:
            The joined data.
        """
        return SequenceData.of(self.names, [task.load(data) for task in self.tasks])


def _joined(pools: Sequence[Pool], parts: Sequence[SequencePart]) -> Pool:
    labels = [part.classes[pool.labels] for pool, part in zip(pools, parts, strict=True)]
    first = pools[0].inputs
    shown = first.format
    # As they are stored: a transform that decodes images is that of the first pool, and put back.
    inputs = concatenate_datasets([pool.inputs.with_format(None) for pool in pools])
    return Pool(inputs.with_format(shown["type"], **shown["format_kwargs"]), np.concatenate(labels))
