"""Payloads: some episodes with the items they use, for a process that has no query labels.

The process that adapts a method and answers queries gets a payload and a backbone, and nothing else of the task. Its
queries have no labels and no reference texts; their numbers are those of their first appearance in the shuffled
episodes, and images come without file names, because places in a pool and names of folders give classes away. Methods
on features get no raw inputs, and a large support set comes as the files of the cache that have its features.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset
from torch import Tensor

from bench.contracts import Backbone, DataError, Features, InputMode, Pool, TaskData
from bench.data.batches import EpisodeSource
from bench.data.episodes import PADDING, Episodes, Positions
from bench.data.features import FeatureTable
from bench.toolkit.images import STORED
from bench.toolkit.sources import quiet_datasets

SENT = 2**26
"""Bytes of support features up to which they are sent (64 MiB); of more, files of the cache are named."""


@dataclass(frozen=True)
class EpisodePayload:
    """Episodes with the items they use, small enough to be sent to another process.

    Attributes:
        data: Pools of the items of these episodes alone; query labels are 0 and query targets are missing, and so are
            the raw inputs of methods on features.
        support_rows: ``[pool]``, row of each position of the task's support pool in ``data.support``, -1 where unused.
        class_embeddings: ``[class, dim_v]`` for every class of the task; None for one-hot labels.
        support: Features of the support items, by their position in the task's support pool.
        query: Features of the query items, by their row in ``data.query``.
        episodes: The episodes; support positions are those of the task's pool, query positions are rows of
            ``data.query``, and query labels are 0.
    """

    data: TaskData
    support_rows: Positions
    class_embeddings: Tensor | None
    support: FeatureTable
    query: FeatureTable
    episodes: Episodes

    def source(self, backbone: Backbone) -> EpisodeSource:
        """The payload's pools as a source of batches on a backbone."""
        return EpisodeSource(
            self.data, backbone, self.class_embeddings, self.support, self.query, support_rows=self.support_rows
        )


def payload_of(source: EpisodeSource, episodes: Episodes, reads: InputMode = InputMode.INPUTS) -> EpisodePayload:
    """The payload of some episodes.

    Args:
        source: Encoded pools of the task.
        episodes: The episodes.
        reads: What the method reads; raw inputs are sent to those alone that read them.

    Returns:
        The episodes and their items, without query labels, query targets and file names of queries.

    Raises:
        DataError: If an image file of a query cannot be read.
    """
    used, numbers = _by_first_appearance(episodes.query)
    query = source.data.query
    sent = reads is InputMode.INPUTS
    query_inputs = without_names(in_memory(query.inputs, used)) if sent else _withheld(len(used))
    own = np.unique(episodes.support[episodes.support != PADDING])
    support_pool, support_rows = _support_part(source.data.support, own, sent)
    unlabelled = replace(episodes, query=numbers, query_labels=np.where(episodes.query == PADDING, PADDING, 0))
    return EpisodePayload(
        TaskData(
            support_pool,
            Pool(query_inputs, np.zeros(len(used), dtype=np.int64)),
            source.data.classes,
            source.data.revision,
        ),
        support_rows,
        source.class_embeddings,
        _support_features(source.support, own),
        _features(source.query, used, np.arange(len(used)), len(used)),
        unlabelled,
    )


def in_memory(inputs: Dataset, positions: Positions) -> Dataset:
    """Some rows of a data set, copied to memory, so that another process needs no access to its files.

    Args:
        inputs: The data set.
        positions: ``[row]`` numbers of the rows.

    Returns:
        A data set of these rows with the same format.
    """
    return _stored(inputs, lambda rows: rows.select(positions).flatten_indices(keep_in_memory=True))


def without_names(inputs: Dataset) -> Dataset:
    """A data set whose stored images are bytes named by their row, instead of file names.

    Args:
        inputs: A data set of the one column ``input``; texts are returned as they are.

    Returns:
        The data set with the same format.

    Raises:
        DataError: If an image file cannot be read.
    """
    column = inputs.data.column("input")
    if not (pa.types.is_struct(column.type) and "path" in {field.name for field in column.type}):
        return inputs
    images = [{"bytes": _content(image), "path": f"query {row}"} for row, image in enumerate(column.to_pylist())]

    def renamed(rows: Dataset) -> Dataset:
        table = pa.table({"input": pa.array(images, STORED)})
        return Dataset(table, info=rows.info)

    return _stored(inputs, renamed)


def _content(image: dict[str, object]) -> bytes | None:
    """The bytes of a stored image, read from its file where they are not stored."""
    if image["bytes"] is not None or image["path"] is None:
        return image["bytes"]  # type: ignore[return-value]
    try:
        return Path(str(image["path"])).read_bytes()
    except OSError as error:
        raise DataError(f"{image['path']} cannot be read: {error.strerror}; repair or remove it") from error


def _stored(inputs: Dataset, change: Callable[[Dataset], Dataset]) -> Dataset:
    """A data set with its rows changed as they are stored; a transform that decodes them stays."""
    shown = inputs.format
    with quiet_datasets():
        stored = change(inputs.with_format(None))
    formatted: Dataset = stored.with_format(shown["type"], **shown["format_kwargs"])
    return formatted


def _by_first_appearance(positions: Positions) -> tuple[Positions, Positions]:
    """The distinct positions in the order of their first appearance, and all positions as numbers in that order."""
    real = positions != PADDING
    distinct, first, inverse = np.unique(positions[real], return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    numbers = np.full(positions.shape, PADDING, dtype=np.int64)
    numbers[real] = np.argsort(order, kind="stable")[inverse]
    return distinct[order], numbers


@lru_cache(maxsize=64)
def _withheld(n_items: int) -> Dataset:
    """Inputs of items that are known by their features alone; payloads of equal size share one, which is sent once."""
    return Dataset.from_dict({"input": np.zeros(n_items, dtype=np.int8)}).with_transform(_refused)


def _refused(rows: dict[str, object]) -> dict[str, object]:
    raise DataError("a method on features gets no raw inputs; declare reads = InputMode.INPUTS to read them")


def _support_part(pool: Pool, own: Positions, sent: bool) -> tuple[Pool, Positions]:
    """The items of a support pool at some positions, and the row of each position among them."""
    rows = np.full(len(pool.labels), PADDING, dtype=np.int64)
    rows[own] = np.arange(len(own))
    kept = own if len(own) else np.zeros(1, dtype=np.int64)  # a pool needs an item, even an unused one
    targets = None if pool.targets is None else [pool.targets[position] for position in kept]
    inputs = in_memory(pool.inputs, kept) if sent else _withheld(len(kept))
    return Pool(inputs, pool.labels[kept], targets), rows


def _support_features(table: FeatureTable, own: Positions) -> FeatureTable:
    """The features at some positions: the table itself where they are many and another process can map them."""
    if table.mapped and 4 * len(own) * table.key_dim > SENT:
        return table
    return _features(table, own, own, len(table.row))


def _features(table: FeatureTable, positions: Positions, names: Positions, n_items: int) -> FeatureTable:
    """The features at some positions under other names; empty where some have none, as in runs on raw inputs."""
    part = FeatureTable(table.split, np.full(n_items, PADDING, dtype=np.int64))
    if len(table) and len(positions) and (table.row[positions] >= 0).all():
        keys, prior = table.gather(positions[None])
        part.add(names, Features(keys[0], prior[0]))
    return part
