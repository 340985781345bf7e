"""The payload of one episode: what a worker process needs to measure it, without query labels."""

from dataclasses import dataclass, replace

import numpy as np
from datasets import Dataset
from torch import Tensor

from bench.contracts import (
    Backbone,
    Features,
    Pool,
    Task,
    TaskData,
)
from bench.data.batches import EpisodeSource
from bench.data.episodes import PADDING, Episodes, Positions
from bench.data.features import FeatureTable
from bench.toolkit.sources import quiet_datasets


@dataclass(frozen=True)
class EpisodePayload:
    """What EpisodeSource has, without the backbone: of one episode, and small enough to be sent."""

    task: Task
    data: TaskData
    class_embeddings: Tensor
    support: FeatureTable
    query: FeatureTable

    def on(self, backbone: Backbone) -> EpisodeSource:
        """The same with a backbone."""
        return EpisodeSource(self.task, self.data, backbone, self.class_embeddings, self.support, self.query)


def alone(source: EpisodeSource, episodes: Episodes) -> tuple[EpisodePayload, Episodes]:
    """The first episode and its items alone, without query labels and query targets."""
    first = episodes[:1]
    data = source.data
    support, support_table = _part(data.support, source.support, first.support)
    query, query_table = _part(replace(data.query, targets=None), source.query, first.query)
    query = replace(query, labels=np.zeros_like(query.labels))
    small = TaskData(support, query, data.classes, data.revision)
    renumbered = Episodes(
        first.classes,
        _renumbered(first.support),
        first.support_labels,
        _renumbered(first.query),
        np.where(first.query == PADDING, PADDING, 0),
    )
    return EpisodePayload(source.task, small, source.class_embeddings, support_table, query_table), renumbered


def _renumbered(positions: Positions) -> Positions:
    """The same items by their rank among themselves."""
    real = np.unique(positions[positions != PADDING])
    return np.where(positions == PADDING, PADDING, np.searchsorted(real, positions))


def _chosen(inputs: Dataset, wanted: Positions) -> Dataset:
    """Some inputs, in memory whatever they were read from: another process need not find the files."""
    shown = inputs.format
    with quiet_datasets():
        # As they are stored: a transform that opens files is for whoever reads them.
        stored = inputs.with_format(None).select(wanted).flatten_indices(keep_in_memory=True)
    made: Dataset = stored.with_format(shown["type"], **shown["format_kwargs"])
    return made


def _part(pool: Pool, table: FeatureTable, positions: Positions) -> tuple[Pool, FeatureTable]:
    wanted = np.unique(positions[positions != PADDING])
    if len(wanted) == 0:  # a pool has an item, even one that nobody looks at
        wanted = np.zeros(1, dtype=np.int64)
    inputs = _chosen(pool.inputs, wanted)
    targets = None if pool.targets is None else [pool.targets[position] for position in wanted]
    smaller = FeatureTable(table.split, np.full(len(wanted), PADDING, dtype=np.int64))
    if table.keys.numel() and (table.row[wanted] >= 0).all():
        keys, prior = table.gather(wanted[None])
        smaller.add(np.arange(len(wanted)), Features(keys[0], prior[0]))
    return Pool(inputs, pool.labels[wanted], targets), smaller
