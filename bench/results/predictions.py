"""What became of each query of a run: the side file beside its record, and the scores that follow from it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench import registry
from bench.contracts.metric import Metric
from bench.stats.intervals import Floats

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class QueryPredictions:
    """What became of each query.

    episode: ``[query]``, counted within the run. query: ``[query]``, positions in the task's query pool.
    values: ``[query, field]``, in the order of the metric's fields.
    """

    metric: str
    episode: Integers
    query: Integers
    values: Floats

    @classmethod
    def of(cls, metric: str, queries: Sequence[Integers], values: Sequence[Floats]) -> "QueryPredictions":
        """QueryPredictions from each episode's queries ``[query]`` and values ``[query, field]``."""
        episode = np.repeat(np.arange(len(queries)), [len(part) for part in queries])
        return cls(metric, episode, np.concatenate(queries), np.concatenate(values).astype(np.float64))

    def __len__(self) -> int:
        return len(self.query)

    @property
    def scorer(self) -> Metric:
        """The metric itself. Raises UsageError if it is not installed."""
        return registry.make_metric(self.metric)

    @property
    def parts(self) -> Floats:
        """``[query, part]``, whose sums over queries the metric turns into a score."""
        return self.scorer.parts(self.values)

    def by_episode(self) -> list[Floats]:
        """Values ``[query, field]`` of each episode."""
        return np.split(self.values, np.flatnonzero(np.diff(self.episode)) + 1)

    def episode_scores(self) -> list[float]:
        """The score of each episode, in the metric's unit."""
        metric = self.scorer
        return [metric.episode_score(values) for values in self.by_episode()]

    def to_bytes(self) -> bytes:
        """The contents of a Parquet file, compressed; the same bytes for the same outcomes."""
        columns = {"episode": pa.array(self.episode, pa.int32()), "query": pa.array(self.query, pa.int64())}
        for (name, type_), column in zip(self.scorer.fields.items(), self.values.T, strict=True):
            columns[name] = pa.array(column).cast(type_)
        sink = io.BytesIO()
        pq.write_table(pa.table(columns), sink, compression="zstd")
        return sink.getvalue()

    @classmethod
    def from_bytes(cls, metric: str, content: bytes) -> "QueryPredictions":
        """QueryPredictions from a file's contents. Raises ValueError if they are not outcomes of this metric."""
        table = pq.read_table(io.BytesIO(content))
        columns = ["episode", "query", *registry.make_metric(metric).fields]
        if table.column_names != columns:
            raise ValueError(f"needs the columns {', '.join(columns)}, got {', '.join(table.column_names)}")
        episode, query, *values = (np.asarray(column, dtype=np.float64) for column in table.columns)
        return cls(metric, episode.astype(np.int64), query.astype(np.int64), np.column_stack(values))
