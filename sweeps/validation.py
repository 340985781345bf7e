"""Support data, and ways to hold some of it out.

A sweep has ``SupportData``, without a query pool: validation items are drawn from the support pool too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from bench.contracts import Pool, Task, TaskData, UsageError
from bench.data.episodes import PADDING, Episodes, EpisodeSpec, Positions, draw_episodes
from bench.toolkit.seeds import name_seed

Validation = Literal["auto", "leave_one_out", "cross_validation", "splits"]
HELD_OUT = 0.2
"""Share of a class that a random split holds out, and at least one item."""


@dataclass(frozen=True)
class SupportData:
    """The data of a task without its queries.

    Attributes:
        pool: Support pool.
        classes: Class names, in the order of the labels.
        revision: Revision of the task's data.
    """

    pool: Pool
    classes: tuple[str, ...]
    revision: str

    @classmethod
    def load(cls, task: Task, data: Path | None) -> Self:
        """Load the support data of a task.

        Args:
            task: The task.
            data: Folder of local data sets.

        Returns:
            The data.
        """
        whole = task.load(data)
        return cls(whole.support, whole.classes, whole.revision)

    def as_task(self) -> TaskData:
        """Data with the support pool as both pools, for parts of the harness that need two."""
        return TaskData(self.pool, self.pool, self.classes, self.revision)


def support_sets(data: SupportData, draw: EpisodeSpec) -> Episodes:
    """The support sets of a run; their query sets are empty.

    At one shot there is nothing to hold out. Each class is then drawn with a second item: the support sets are those of
    two shots, in halves that take turns, so that methods adapt to one shot while the sweep uses two.

    Args:
        data: Support data of the task.
        draw: The run's draw of episodes.

    Returns:
        The episodes.

    Raises:
        UsageError: At one shot, if a class has no second item.
    """
    at_one_shot = draw.shots == 1
    smallest = int(np.bincount(data.pool.labels, minlength=len(data.classes)).min())
    if at_one_shot and smallest == 1:
        raise UsageError(
            f"a sweep on {draw.task} at one shot needs two support items of each class to hold one out, got one"
        )
    drawn = draw_episodes(data.as_task(), replace(draw, shots=2 if at_one_shot else draw.shots, queries=1))
    nothing = np.full((len(drawn), 0), PADDING, dtype=np.int64)
    return replace(drawn, query=nothing, query_labels=nothing)


def cross_validation(sets: Episodes, folds: int) -> list[Episodes]:
    """Folds with each item held out once, classes spread evenly; the only item of a class is never held out.

    Args:
        sets: Support sets.
        folds: Largest number of folds.

    Returns:
        Episodes of each fold, with the held-out items as queries.
    """
    rank, size = _places(sets)
    folds = min(folds, int(size.max()))
    return [_split(sets, (rank % folds == fold) & (size > 1)) for fold in range(folds)]


def repeated_splits(sets: Episodes, repeats: int) -> list[Episodes]:
    """Random splits that hold out a fifth of each class, at least one item; the only item of a class is never held out.

    Args:
        sets: Support sets.
        repeats: Number of splits.

    Returns:
        Episodes of each split, with the held-out items as queries.
    """
    rank, size = _places(sets)
    held_out = np.maximum(1, np.round(HELD_OUT * size)) * (size > 1)
    found = []
    for repeat in range(repeats):
        draws = np.random.default_rng(name_seed("split", repeat)).random(rank.shape)
        # After sorting by class and then by a random number, an item's position in its class is random.
        labels = np.where(sets.support_labels == PADDING, sets.classes.shape[1], sets.support_labels)
        order = np.lexsort((draws, labels), axis=1)
        by_chance = np.take_along_axis(rank, np.argsort(order, axis=1), axis=1)
        found.append(_split(sets, by_chance < held_out))
    return found


def joined(parts: Sequence[Episodes]) -> Episodes:
    """Join episodes.

    Args:
        parts: Episodes of several parts.

    Returns:
        All of them, in order.
    """

    def stacked(name: str) -> Positions:
        rows = [getattr(part, name) for part in parts]
        width = max(each.shape[1] for each in rows)
        wide = [np.pad(each, ((0, 0), (0, width - each.shape[1])), constant_values=PADDING) for each in rows]
        return np.concatenate(wide)

    return Episodes(*(stacked(field.name) for field in fields(Episodes) if not field.kw_only))


def _places(sets: Episodes) -> tuple[Positions, Positions]:
    """Rank of an item in its class, and size of the class, ``[episode, item]``; 0 for padding."""
    labels = sets.support_labels
    columns = np.arange(labels.shape[1])
    first = np.concatenate([np.ones((len(labels), 1), dtype=bool), labels[:, 1:] != labels[:, :-1]], axis=1)
    rank = columns - np.maximum.accumulate(np.where(first, columns, 0), axis=1)
    n_way = sets.classes.shape[1]
    sizes = np.stack([np.bincount(row[row >= 0], minlength=n_way) for row in labels])
    size = np.take_along_axis(sizes, np.maximum(labels, 0), axis=1)
    return rank, np.where(labels == PADDING, 0, size)


def _split(sets: Episodes, held_out: NDArray[np.bool]) -> Episodes:
    """Episodes with the held-out items as queries."""
    real = sets.support != PADDING
    return Episodes(
        sets.classes,
        *_where(sets, real & ~held_out),
        *_where(sets, real & held_out),
    )


def _where(sets: Episodes, kept: NDArray[np.bool]) -> tuple[Positions, Positions]:
    """Positions and labels of some items, moved to the front of each row."""
    width = int(kept.sum(axis=1).max())
    order = np.argsort(~kept, axis=1, kind="stable")[:, :width]
    there = np.take_along_axis(kept, order, axis=1)
    found = (np.take_along_axis(part, order, axis=1) for part in (sets.support, sets.support_labels))
    positions, labels = (np.where(there, part, PADDING) for part in found)
    return positions, labels
