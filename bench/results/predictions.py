"""Predictions of each query of a run: the side file beside its record, and the scores computed from it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench import registry
from bench.contracts.metric import Metric
from bench.stats.intervals import Floats

if TYPE_CHECKING:
    import pyarrow as pa

Integers = NDArray[np.int64]
CLASS_COLUMNS = ("true_class", "predicted_class")
"""Columns of a file of classification, after those of the metric: names of classes."""


@dataclass(frozen=True)
class ClassPredictions:
    """The right and the predicted class of each query of a run.

    Attributes:
        classes: Names of classes.
        true: ``[query]``, positions in ``classes``.
        predicted: ``[query]``, positions in ``classes``; of equal scores the first class.
    """

    classes: tuple[str, ...]
    true: Integers
    predicted: Integers

    @property
    def names(self) -> tuple[list[str], list[str]]:
        """Names of the right and of the predicted class of each query."""
        return [self.classes[place] for place in self.true], [self.classes[place] for place in self.predicted]

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """``[query]``, whether the predicted class is not the right one."""
        return np.asarray(self.true != self.predicted)


@dataclass(frozen=True)
class QueryPredictions:
    """Metric values of each query of a run.

    Attributes:
        metric: Name of the metric.
        episode: ``[query]``, number of the episode within the run.
        query: ``[query]``, positions in the task's query pool.
        values: ``[query, field]``, in the order of the metric's fields.
        classes: The right and the predicted class of each query; None in tasks without classes, and in files of earlier
            programs.
    """

    metric: str
    episode: Integers
    query: Integers
    values: Floats
    classes: ClassPredictions | None = None

    @classmethod
    def of(
        cls,
        metric: str,
        queries: Sequence[Integers],
        values: Sequence[Floats],
        classes: ClassPredictions | None = None,
    ) -> "QueryPredictions":
        """Join the queries of episodes.

        Args:
            metric: Name of the metric.
            queries: ``[query]`` positions in the query pool, for each episode.
            values: ``[query, field]``, for each episode.
            classes: Classes of the queries of all episodes, in order.

        Returns:
            The predictions of all episodes.
        """
        episode = np.repeat(np.arange(len(queries)), [len(part) for part in queries])
        return cls(metric, episode, np.concatenate(queries), np.concatenate(values).astype(np.float64), classes)

    def __len__(self) -> int:
        return len(self.query)

    @property
    def scorer(self) -> Metric:
        """The metric.

        Raises:
            UsageError: If it is not installed.
        """
        return registry.make_metric(self.metric)

    @property
    def parts(self) -> Floats:
        """``[query, part]``; the metric computes a score from sums of parts over queries."""
        return self.scorer.parts(self.values)

    def by_episode(self) -> list[Floats]:
        """Values ``[query, field]`` of each episode."""
        return np.split(self.values, np.flatnonzero(np.diff(self.episode)) + 1)

    def episode_scores(self) -> list[float]:
        """The score of each episode, in the metric's unit."""
        metric = self.scorer
        return [metric.episode_score(values) for values in self.by_episode()]

    def to_bytes(self) -> bytes:
        """Content of a compressed Parquet file; equal predictions give equal bytes."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {"episode": pa.array(self.episode, pa.int32()), "query": pa.array(self.query, pa.int64())}
        for (name, type_), column in zip(self.scorer.fields.items(), self.values.T, strict=True):
            columns[name] = pa.array(column).cast(type_)
        if self.classes is not None:
            # In the order of their first use, as they are read: predictions that are read and written keep their hash.
            used = pa.array(np.concatenate([self.classes.true, self.classes.predicted])).dictionary_encode()
            names = pa.array([self.classes.classes[place] for place in used.dictionary.to_pylist()], pa.string())
            for name, places in zip(CLASS_COLUMNS, np.split(_numbers(used.indices), 2), strict=True):
                columns[name] = pa.DictionaryArray.from_arrays(pa.array(places, pa.int32()), names)
        sink = io.BytesIO()
        pq.write_table(pa.table(columns), sink, compression="zstd")
        return sink.getvalue()

    @classmethod
    def from_bytes(cls, metric: str, content: bytes) -> "QueryPredictions":
        """Read predictions from a file's content.

        Args:
            metric: Name of the metric.
            content: Content of a Parquet file.

        Returns:
            The predictions.

        Raises:
            ValueError: If they are not predictions of this metric.
        """
        # Most tables need no predictions, and start without this library.
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = ["episode", "query", *registry.make_metric(metric).fields]
        try:
            return cls._of_table(metric, columns, pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False))
        except pa.ArrowException as error:
            raise ValueError(str(error)) from error

    @classmethod
    def _of_table(cls, metric: str, columns: list[str], table: "pa.Table") -> "QueryPredictions":
        classes = None
        if table.column_names == [*columns, *CLASS_COLUMNS]:
            classes = _read_classes(*(table.column(name) for name in CLASS_COLUMNS))
            table = table.select(columns)
        if table.column_names != columns:
            raise ValueError(f"needs the columns {', '.join(columns)}, got {', '.join(table.column_names)}")
        episode, query, *values = map(_numbers, table.columns)
        return cls(metric, episode.astype(np.int64), query.astype(np.int64), np.column_stack(values), classes)


def _numbers(column: "pa.Array | pa.ChunkedArray") -> Floats:
    """A column as numbers, NaN where it has none; Arrow's own conversion to numpy would import pandas."""
    import pyarrow as pa

    made = column.cast(pa.float64(), safe=False)
    whole = made.combine_chunks() if isinstance(made, pa.ChunkedArray) else made
    return np.asarray(np.from_dlpack(whole.fill_null(float("nan")) if whole.null_count else whole), dtype=np.float64)


def _read_classes(true: "pa.ChunkedArray", predicted: "pa.ChunkedArray") -> ClassPredictions:
    """The classes of a file; only those that are the right or the predicted one of a query."""
    import pyarrow as pa

    encoded = pa.chunked_array([*true.cast(pa.string()).chunks, *predicted.cast(pa.string()).chunks])
    joined = encoded.combine_chunks().dictionary_encode()
    places = _numbers(joined.indices).astype(np.int64)
    return ClassPredictions(tuple(joined.dictionary.to_pylist()), places[: len(true)], places[len(true) :])
