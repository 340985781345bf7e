"""The payload of one episode: what a worker process needs to measure it, without query labels."""

from dataclasses import dataclass, replace

import numpy as np
from datasets import Dataset
from torch import Tensor

from bench.contracts import Backbone, Features, Pool, TaskData
from bench.data.batches import EpisodeSource
from bench.data.episodes import PADDING, Episodes, Positions
from bench.data.features import FeatureTable
from bench.toolkit.sources import quiet_datasets


@dataclass(frozen=True)
class EpisodePayload:
    """One episode with the items it uses, small enough to be sent to another process.

    Attributes:
        data: Pools of this episode's items alone; query labels are 0 and query targets are missing.
        class_embeddings: ``[class, dim_v]`` for every class of the task.
        support: Features of the support items.
        query: Features of the query items.
        episodes: The episode, with positions in these pools.
    """

    data: TaskData
    class_embeddings: Tensor
    support: FeatureTable
    query: FeatureTable
    episodes: Episodes

    def source(self, backbone: Backbone) -> EpisodeSource:
        """The payload's pools as a source of batches on a backbone."""
        return EpisodeSource(self.data, backbone, self.class_embeddings, self.support, self.query)


def first_episode(source: EpisodeSource, episodes: Episodes) -> EpisodePayload:
    """The payload of the first of some episodes.

    Args:
        source: Encoded pools of the task.
        episodes: Episodes of a run.

    Returns:
        The first episode and its items, without query labels and query targets.
    """
    first = episodes[:1]
    support, support_table = _part(source.data.support, source.support, first.support)
    query, query_table = _part(replace(source.data.query, targets=None), source.query, first.query)
    query = replace(query, labels=np.zeros_like(query.labels))
    renumbered = Episodes(
        first.classes,
        _renumbered(first.support),
        first.support_labels,
        _renumbered(first.query),
        np.where(first.query == PADDING, PADDING, 0),
    )
    data = TaskData(support, query, source.data.classes, source.data.revision)
    return EpisodePayload(data, source.class_embeddings, support_table, query_table, renumbered)


def in_memory(inputs: Dataset, positions: Positions) -> Dataset:
    """Some rows of a data set, copied to memory, so that another process needs no access to its files.

    Args:
        inputs: The data set.
        positions: ``[row]`` numbers of the rows.

    Returns:
        A data set of these rows with the same format.
    """
    shown = inputs.format
    with quiet_datasets():
        # Rows are copied as they are stored; a transform that opens files is applied where they are read.
        stored = inputs.with_format(None).select(positions).flatten_indices(keep_in_memory=True)
    selected: Dataset = stored.with_format(shown["type"], **shown["format_kwargs"])
    return selected


def _renumbered(positions: Positions) -> Positions:
    """Positions replaced by their rank among the distinct positions."""
    real = np.unique(positions[positions != PADDING])
    return np.where(positions == PADDING, PADDING, np.searchsorted(real, positions))


def _part(pool: Pool, table: FeatureTable, positions: Positions) -> tuple[Pool, FeatureTable]:
    distinct = np.unique(positions[positions != PADDING])
    if len(distinct) == 0:  # a pool needs an item, even an unused one
        distinct = np.zeros(1, dtype=np.int64)
    targets = None if pool.targets is None else [pool.targets[position] for position in distinct]
    smaller = FeatureTable(table.split, np.full(len(distinct), PADDING, dtype=np.int64))
    if table.keys.numel() and (table.row[distinct] >= 0).all():
        keys, prior = table.gather(distinct[None])
        smaller.add(np.arange(len(distinct)), Features(keys[0], prior[0]))
    return Pool(in_memory(pool.inputs, distinct), pool.labels[distinct], targets), smaller
