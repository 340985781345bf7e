"""Support and query batches, cut from encoded pools for a group of episodes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import repeat
from typing import Protocol

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor

from bench.contracts import (
    AnswerProtocol,
    Backbone,
    Classes,
    DataError,
    InputMode,
    Inputs,
    Limits,
    Pool,
    ProblemShape,
    Query,
    Support,
    Task,
    TaskData,
)
from bench.contracts.references import Target, references
from bench.data.episodes import PADDING, Episodes, Positions
from bench.data.features import FeatureTable
from bench.spec.resolve import ResolvedRun

ITEMS_AT_ONCE = 4096
"""Largest number of items per episode in one batch; larger sets are streamed to bound the memory."""
KEY_ENTRIES_AT_ONCE = 2**26
"""Largest number of key entries in one batch over all its episodes (256 MiB in float32)."""
POOL_ORDER_ENTRIES = 2**26
"""Key entries of an episode above which its items come in the order of their pool, which is that of files of images:
by class, each batch would be gathered from all files. The order of the files themselves follows from what was encoded
first, and the last digits of a score would too."""
Columns = slice | Positions
"""Which items of a support set a batch has, the same of every episode."""


class PartReader(Protocol):
    """What makes a batch."""

    def __call__(self, columns: Columns, pinned: bool = False) -> Support:
        """The batch, see ``EpisodeGroup.support_part``."""


Feed = Callable[[PartReader, Iterable[Columns]], Iterable[Support]]
"""What calls the first with each of the others, in order, as ``map`` does."""


@dataclass(frozen=True)
class EpisodeSource:
    """The encoded pools of one task on one backbone, from which episodes are cut.

    Attributes:
        data: The task's pools and class names.
        backbone: The frozen backbone.
        class_embeddings: ``[class, dim_v]`` for every class of the task; None for one-hot labels of the classes of each
            episode in their place, with a prior that is the same for all of them.
        support: Features of the support pool.
        query: Features of the query pool.
        support_rows: ``[position]``, row in ``data.support`` of each position that episodes name; None where positions
            are rows.
    """

    data: TaskData
    backbone: Backbone
    class_embeddings: Tensor | None
    support: FeatureTable
    query: FeatureTable
    support_rows: Positions | None = None


class EpisodeGroup:
    """Episodes that one method instance serves together."""

    def __init__(
        self, source: EpisodeSource, run: ResolvedRun, episodes: Episodes, start: int = 0, limits: Limits | None = None
    ) -> None:
        """Cut a group of episodes.

        Args:
            source: The encoded pools.
            run: The run whose method serves the group.
            episodes: The episodes of the group.
            start: Number of the first of them within the run; it decides the method's seed.
            limits: What the run's budget demands of the method itself; none by default.
        """
        self.source, self.run, self.episodes = source, run, episodes
        self.start, self.limits = start, limits or Limits()
        index = torch.from_numpy(episodes.classes)
        names = tuple(tuple(source.data.classes[label] for label in row) for row in episodes.classes)
        given = source.class_embeddings
        labels = torch.eye(index.shape[1]).expand(len(index), -1, -1)
        self.classes = Classes(class_embeddings=labels if given is None else given[index], names=names)

    def __len__(self) -> int:
        return len(self.episodes)

    def stages(self) -> list["EpisodeGroup"]:
        """The group with the support set of each task of a sequence alone, in order, and with all queries."""
        whole = self.episodes
        parts = [
            replace(whole, support=whole.support[:, part], support_labels=whole.support_labels[:, part], stages=())
            for part in whole.stage_bounds()
        ]
        return [EpisodeGroup(self.source, self.run, part, self.start, self.limits) for part in parts]

    def query_texts(self) -> list[str]:
        """Raw texts of the queries in order, for metrics that count words."""
        pool, positions = self.source.data.query, self.episodes.query
        return [str(text) for text in _reader(pool.inputs, None)(positions[positions != PADDING].tolist())]

    def query_targets(self) -> list[Target]:
        """Reference texts of the queries in order; for the metric alone.

        Returns:
            One text or several for each query, padding left out.

        Raises:
            DataError: If the query pool has no reference texts.
        """
        known, positions = self.source.data.query.targets, self.episodes.query
        if known is None:
            raise DataError("a task of text generation needs targets in its query pool, got none")
        return [known[position] for position in positions[positions != PADDING].tolist()]

    def problem_shape(self) -> ProblemShape:
        """Sizes, seed and limits that a method knows before the first example."""
        run = self.run
        return ProblemShape(
            n_episodes=len(self),
            n_way=self.classes.n_way,
            n_support=self.episodes.support.shape[1],
            key_dim=self.source.query.key_dim if run.input_mode is InputMode.FEATURES else 0,
            value_dim=self.classes.class_embeddings.shape[-1],
            prior_strength=run.prior_strength,
            separator=run.task.separator,
            content_free=run.task.content_free,
            class_prompts=run.task.prompts,
            seed=run.seed(self.start),
            kind=run.task.kind,
            protocol=_answer_protocol(run.task),
            limits=self.limits,
        )

    @property
    def streams(self) -> bool:
        """Whether the support set comes in several batches."""
        n_items: int = self.episodes.support.shape[1]
        return n_items > self._items_at_once()

    def support_part(self, columns: Columns, pinned: bool = False) -> Support:
        """Support items of every episode.

        Args:
            columns: Slice or indices of the items, the same for every episode.
            pinned: Whether features are to be in memory from which a GPU copies by itself.

        Returns:
            The labelled batch.
        """
        labels = torch.from_numpy(self.episodes.support_labels[:, columns]).clamp(min=0)
        pool, table, rows = self.source.data.support, self.source.support, self.source.support_rows
        known = pool.targets
        targets = None if known is None else lambda wanted: [references(known[row])[0] for row in _rows(rows, wanted)]
        items = self._items(pool, table, self.episodes.support[:, columns], rows, pinned)
        return Support(labels=labels, targets=targets, **items)  # type: ignore[arg-type]

    def support_batches(self, feed: Feed = map) -> Iterator[Support]:
        """The support set once, in order; a very large one in the order of its pool.

        Args:
            feed: What makes the batches.

        Yields:
            Labelled batches.
        """
        yield from feed(self.support_part, self._once())

    def training_batches(self, batch_size: int | None, feed: Feed = map) -> Iterator[Support]:
        """Endless support batches for gradient steps.

        Args:
            batch_size: Items per episode and batch, drawn in shuffled epochs; None for all items each time.
            feed: What makes the batches that are not all items.

        Yields:
            Labelled batches.
        """
        if batch_size is None or batch_size >= self.episodes.support.shape[1]:
            yield from repeat(self.support_part(slice(None)))
        else:
            yield from feed(self.support_part, self._shuffled(batch_size))

    def _once(self) -> Iterator[Columns]:
        """Columns of batches of all items."""
        n_items, step = self.episodes.support.shape[1], self._items_at_once()
        order = np.argsort(self.episodes.support[0]) if self._in_pool_order() else None
        for start in range(0, n_items, step):
            part = slice(start, start + step)
            yield part if order is None else order[part]

    def _shuffled(self, batch_size: int) -> Iterator[Columns]:
        """Columns of batches of shuffled epochs, without end."""
        n_items, rng = self.episodes.support.shape[1], np.random.default_rng(self.run.seed(self.start))
        in_pool_order = self._in_pool_order()
        while True:
            order = rng.permutation(n_items)
            for start in range(0, n_items - batch_size + 1, batch_size):
                part = order[start : start + batch_size]
                yield part[np.argsort(self.episodes.support[0, part])] if in_pool_order else part

    def _in_pool_order(self) -> bool:
        """Whether items come in the order of their pool. Episodes of this size are never grouped."""
        n_items = self.episodes.support.shape[1]
        return len(self) == 1 and n_items * self.problem_shape().key_dim > POOL_ORDER_ENTRIES

    def query_batches(self) -> Iterator[Query]:
        """The query set once, in order, without its labels."""
        step = self._items_at_once()
        positions = self.episodes.query
        for start in range(0, positions.shape[1], step):
            part = positions[:, start : start + step]
            yield Query(**self._items(self.source.data.query, self.source.query, part))  # type: ignore[arg-type]

    def _items(
        self,
        pool: Pool,
        table: FeatureTable,
        positions: Positions,
        rows: Positions | None = None,
        pinned: bool = False,
    ) -> dict[str, object]:
        if self.run.input_mode is InputMode.INPUTS:
            keys = prior = torch.zeros(*positions.shape, 0)
        elif positions.size:
            keys, prior = table.gather(positions, pinned)
            if self.classes.class_embeddings.shape[-1] == 0:  # nothing that priors could be compared with
                prior = prior[..., :0]
        else:  # a table without any encoded item has no widths of its own
            keys = torch.zeros(*positions.shape, self.source.query.key_dim)
            prior = torch.zeros(*positions.shape, self.classes.class_embeddings.shape[-1])
        if self.source.class_embeddings is None:
            n_way = self.classes.n_way
            prior = torch.full((*positions.shape, n_way), n_way**-0.5)
        return {
            "keys": keys,
            "prior": prior,
            "mask": torch.from_numpy(positions != PADDING),
            "classes": self.classes,
            "inputs": Inputs(positions, _reader(pool.inputs, rows)),
        }

    def _items_at_once(self) -> int:
        width = max(1, self.problem_shape().key_dim) * len(self)
        return max(1, min(ITEMS_AT_ONCE, KEY_ENTRIES_AT_ONCE // width))


def episode_groups(
    source: EpisodeSource, run: ResolvedRun, episodes: Episodes, limits: Limits | None = None
) -> list[EpisodeGroup]:
    """Cut episodes into groups as large as the method takes and the memory allows.

    Args:
        source: The encoded pools.
        run: The run.
        episodes: All episodes of the run.
        limits: What the run's budget demands of the method itself.

    Returns:
        Groups in order; single episodes for methods that run the backbone themselves.
    """
    size = 1
    if run.input_mode is InputMode.FEATURES:
        per_episode = episodes.support.shape[1] * source.query.key_dim
        size = max(1, min(run.method.episodes_at_once, KEY_ENTRIES_AT_ONCE // max(1, per_episode)))
    return [
        EpisodeGroup(source, run, episodes[start : start + size], start, limits)
        for start in range(0, len(episodes), size)
    ]


def _answer_protocol(task: Task) -> AnswerProtocol:
    """The evaluation options of a task, which has fields of the same names."""
    return AnswerProtocol(**{each.name: getattr(task, each.name) for each in fields(AnswerProtocol)})


def _reader(inputs: Dataset, rows: Positions | None) -> Callable[[Sequence[int]], list[object]]:
    """Function from positions to raw inputs; it holds the inputs and no labels."""
    return lambda wanted: [inputs[row]["input"] for row in _rows(rows, wanted)]


def _rows(rows: Positions | None, positions: Sequence[int]) -> list[int]:
    """Rows of some positions in a data set."""
    return list(positions) if rows is None else rows[list(positions)].tolist()
