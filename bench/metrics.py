"""Scores of answers, with their intervals."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from bench.contracts import NumericalError


@dataclass(frozen=True)
class Score:
    """A score and the half-width of its 95% interval, both in the metric's own unit."""

    value: float
    ci95: float


def accuracy(scores: Tensor, labels: Tensor) -> Tensor:
    """Share of right answers per episode, in percent.

    scores: ``[episode, item, way]``, larger for likelier classes. labels: ``[episode, item]``, -1 where padded.
    Returns ``[episode]``. Raises NumericalError if a score is not finite.
    """
    valid = labels >= 0
    finite = scores.isfinite().all(dim=-1) | ~valid
    if not finite.all():
        broken = int((~finite).sum())
        raise NumericalError(f"scores must be finite, got {broken} of {int(valid.sum())} queries with NaN or infinity")
    right = (scores.argmax(dim=-1) == labels) & valid
    return 100 * right.sum(dim=-1, dtype=torch.float64) / valid.sum(dim=-1)


def summarise(episode_scores: list[float], n_queries: int) -> Score:
    """Mean over episodes in percent, with the half-width of its 95% interval.

    Several episodes: Student's t over episodes, which for hundreds of them is the usual 1.96 * std / sqrt(n).
    One episode: Wilson's interval over its ``n_queries`` queries.
    """
    values = np.asarray(episode_scores, dtype=np.float64)
    mean = float(values.mean())
    if len(values) > 1:
        quantile = float(stats.t.ppf(0.975, len(values) - 1))
        return Score(mean, quantile * float(values.std(ddof=1)) / len(values) ** 0.5)
    right = round(mean / 100 * n_queries)
    interval = stats.binomtest(right, n_queries).proportion_ci(method="wilson")
    return Score(mean, 50 * float(interval.high - interval.low))
