"""What became of each query of a run: the side file beside its record, and the scores that follow from it."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

ORDERS = range(1, 5)
FIELDS: dict[str, tuple[str, ...]] = {
    "accuracy": ("right",),
    "perplexity": ("nll", "tokens"),
    "bleu": (
        *(f"correct_{order}" for order in ORDERS), *(f"total_{order}" for order in ORDERS), "written", "reference",
    ),
}  # fmt: skip
"""What is kept of each query, by metric: enough to score any selection of them.

right: 1 for a right answer. nll: summed negative log-likelihood in nats, tokens: number of scored tokens. correct_n,
total_n: n-grams that the reference has too, and all n-grams; written, reference: lengths in tokens.
"""
_TYPES = {"right": pa.bool_(), "nll": pa.float64()}
"""Of fields that are no whole numbers."""


def _bleu(sums: Floats) -> Floats:
    """Corpus BLEU as sacrebleu has it by default, of summed statistics ``[..., 10]``."""
    rows = np.rint(sums.reshape(-1, sums.shape[-1])).astype(int).tolist()
    scores = [BLEU.compute_bleu(row[:4], row[4:8], row[8], row[9], smooth_method="exp").score for row in rows]
    return np.asarray(scores, dtype=np.float64).reshape(sums.shape[:-1])


SCORES: dict[str, Callable[[Floats], Floats]] = {
    "accuracy": lambda sums: 100 * sums[..., 0] / sums[..., 1],
    "perplexity": lambda sums: np.exp(sums[..., 0] / sums[..., 1]),
    "bleu": _bleu,
}
"""From sums over queries of what ``QueryPredictions.parts`` has, ``[..., part]``, to the score of these queries together."""


@dataclass(frozen=True)
class QueryPredictions:
    """What became of each query.

    episode: ``[query]``, counted within the run. query: ``[query]``, positions in the task's query pool.
    values: ``[query, field]``, with the metric's FIELDS.
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
    def parts(self) -> Floats:
        """``[query, part]``, whose sums over queries SCORES turns into a score."""
        # An accuracy is a mean: beside what was right it takes how many were asked.
        return np.column_stack([self.values, np.ones(len(self))]) if self.metric == "accuracy" else self.values

    def episode_scores(self) -> list[float]:
        """The score of each episode, in the metric's unit."""
        starts = np.flatnonzero(np.diff(self.episode, prepend=-1))
        return [float(score) for score in SCORES[self.metric](np.add.reduceat(self.parts, starts, axis=0))]

    def to_bytes(self) -> bytes:
        """The contents of a Parquet file, compressed; the same bytes for the same outcomes."""
        columns = {"episode": pa.array(self.episode, pa.int32()), "query": pa.array(self.query, pa.int64())}
        for name, column in zip(FIELDS[self.metric], self.values.T, strict=True):
            columns[name] = pa.array(column).cast(_TYPES.get(name, pa.int64()))
        sink = io.BytesIO()
        pq.write_table(pa.table(columns), sink, compression="zstd")
        return sink.getvalue()

    @classmethod
    def from_bytes(cls, metric: str, content: bytes) -> "QueryPredictions":
        """QueryPredictions from a file's contents. Raises ValueError if they are not outcomes of this metric."""
        table = pq.read_table(io.BytesIO(content))
        wanted = ["episode", "query", *FIELDS[metric]]
        if table.column_names != wanted:
            raise ValueError(f"needs the columns {', '.join(wanted)}, got {', '.join(table.column_names)}")
        episode, query, *values = (np.asarray(column, dtype=np.float64) for column in table.columns)
        return cls(metric, episode.astype(np.int64), query.astype(np.int64), np.column_stack(values))
