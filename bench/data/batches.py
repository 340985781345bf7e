"""From episodes and features to the support and query batches that methods are given."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.contracts import (
    AnswerProtocol,
    Backbone,
    Classes,
    DataError,
    InputMode,
    Inputs,
    Limits,
    Method,
    Pool,
    ProblemShape,
    Query,
    Support,
    Task,
    TaskData,
)
from bench.data.episodes import PADDING, Episodes, Positions
from bench.data.features import FeatureTable

ITEMS_AT_ONCE = 4096
"""Items per episode in one batch; more are streamed, so that memory does not grow with the support set."""
NUMBERS_AT_ONCE = 2**26
"""Largest number of key entries in one batch (256 MiB in float32), over all its episodes."""


@dataclass(frozen=True)
class EpisodeSource:
    """All that the batches of one task on one backbone are cut from.

    class_embeddings: ``[class, dim_v]`` for every class of the task.
    """

    task: Task
    data: TaskData
    backbone: Backbone
    class_embeddings: Tensor
    support: FeatureTable
    query: FeatureTable

    @property
    def prior_strength(self) -> float:
        """What the prior is worth here, unless a config says otherwise: the task's value, or the backbone's."""
        own = self.task.prior_strength
        return self.backbone.prior_strength if own is None else own


def episodes_at_once(method: type[Method], reads: InputMode, source: EpisodeSource, n_support: int) -> int:
    """As many as a method takes, but no more than keep their support set's keys within NUMBERS_AT_ONCE."""
    if reads is InputMode.INPUTS:
        return 1
    return max(1, min(method.episodes_at_once, NUMBERS_AT_ONCE // max(1, n_support * source.query.keys.shape[-1])))


def _fetch(pool: Pool, positions: list[int]) -> list[object]:
    return [pool.inputs[position]["input"] for position in positions]


class EpisodeGroup:
    """Some episodes that one method instance serves together."""

    def __init__(
        self,
        source: EpisodeSource,
        episodes: Episodes,
        reads: InputMode,
        prior_strength: float,
        seed: int,
        limits: Limits | None = None,
    ) -> None:
        self.source, self.episodes, self.reads, self.seed = source, episodes, reads, seed
        self.prior_strength, self.limits = prior_strength, limits or Limits()
        index = torch.from_numpy(episodes.classes)
        names = tuple(tuple(source.data.classes[label] for label in row) for row in episodes.classes)
        self.classes = Classes(class_embeddings=source.class_embeddings[index], names=names)

    def __len__(self) -> int:
        return len(self.episodes)

    @property
    def labels(self) -> Tensor:
        """Query labels ``[episode, item]`` for the metric; no method is given this object."""
        return torch.from_numpy(self.episodes.query_labels)

    def query_texts(self) -> list[str]:
        """The queries themselves, in order, for metrics that count their words."""
        pool, positions = self.source.data.query, self.episodes.query
        return [str(text) for text in _fetch(pool, positions[positions != PADDING].tolist())]

    def query_targets(self) -> list[str]:
        """What should have been written for each query, in order; for the metric alone."""
        known, positions = self.source.data.query.targets, self.episodes.query
        if known is None:
            raise DataError("a task of translation needs targets in its query pool, got none")
        return [known[position] for position in positions[positions != PADDING].tolist()]

    def problem_shape(self) -> ProblemShape:
        """What a method may know before it sees an example."""
        return ProblemShape(
            n_episodes=len(self),
            n_way=self.classes.n_way,
            n_support=self.episodes.support.shape[1],
            key_dim=self.source.query.keys.shape[-1] if self.reads is InputMode.FEATURES else 0,
            value_dim=self.classes.class_embeddings.shape[-1],
            prior_strength=self.prior_strength,
            separator=self.source.task.separator,
            seed=self.seed,
            kind=self.source.task.kind,
            protocol=AnswerProtocol(self.source.task.window, self.source.task.stride, self.source.task.max_new_tokens),
            limits=self.limits,
        )

    def _items(self, pool: Pool, table: FeatureTable, positions: Positions) -> dict[str, object]:
        if self.reads is InputMode.INPUTS:
            keys = prior = torch.zeros(*positions.shape, 0)
        elif positions.size:
            keys, prior = table.gather(positions)
        else:  # a table that nothing was encoded for does not know its widths
            keys = torch.zeros(*positions.shape, self.source.query.keys.shape[-1])
            prior = torch.zeros(*positions.shape, self.classes.class_embeddings.shape[-1])
        return {
            "keys": keys,
            "prior": prior,
            "mask": torch.from_numpy(positions != PADDING),
            "classes": self.classes,
            "inputs": Inputs(positions, lambda wanted: _fetch(pool, list(wanted))),
        }

    def _items_at_once(self) -> int:
        width = max(1, self.problem_shape().key_dim) * len(self)
        return max(1, min(ITEMS_AT_ONCE, NUMBERS_AT_ONCE // width))

    def support_part(self, columns: "slice | Positions") -> Support:
        """Support items of every episode: a slice of columns, or their indices."""
        labels = torch.from_numpy(self.episodes.support_labels[:, columns]).clamp(min=0)
        pool, table = self.source.data.support, self.source.support
        known = pool.targets
        targets = None if known is None else lambda wanted: [known[position] for position in wanted]
        return Support(labels=labels, targets=targets, **self._items(pool, table, self.episodes.support[:, columns]))  # type: ignore[arg-type]

    def support_batches(self) -> Iterator[Support]:
        """The support set once, in order."""
        step = self._items_at_once()
        for start in range(0, self.episodes.support.shape[1], step):
            yield self.support_part(slice(start, start + step))

    def training_batches(self, batch_size: int | None) -> Iterator[Support]:
        """Support batches without end: all items each time, or ``batch_size`` of them in shuffled epochs."""
        n_items = self.episodes.support.shape[1]
        if batch_size is None or batch_size >= n_items:
            everything = self.support_part(slice(None))
            while True:
                yield everything
        rng = np.random.default_rng(self.seed)
        while True:
            order = rng.permutation(n_items)
            for start in range(0, n_items - batch_size + 1, batch_size):
                yield self.support_part(order[start : start + batch_size])

    def query_batches(self) -> Iterator[Query]:
        """The query set once, in order, without its labels."""
        step = self._items_at_once()
        positions = self.episodes.query
        for start in range(0, positions.shape[1], step):
            part = positions[:, start : start + step]
            yield Query(**self._items(self.source.data.query, self.source.query, part))  # type: ignore[arg-type]
