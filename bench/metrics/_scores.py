"""Scores of answers, with their intervals."""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from torch import Tensor

from bench.contracts import NumericalError


@dataclass(frozen=True)
class Score:
    """A score and the half-width of its 95% interval, both in the metric's own unit."""

    value: float
    ci95: float


def right_answers(scores: Tensor, labels: Tensor) -> Tensor:
    """Which queries were answered right.

    scores: ``[episode, item, way]``, larger for likelier classes. labels: ``[episode, item]``, -1 where padded.
    Returns ``[episode, item]``, False where padded. Raises NumericalError if a score is not finite.
    """
    valid = labels >= 0
    finite = scores.isfinite().all(dim=-1) | ~valid
    if not finite.all():
        broken = int((~finite).sum())
        raise NumericalError(f"scores must be finite, got {broken} of {int(valid.sum())} queries with NaN or infinity")
    return (scores.argmax(dim=-1) == labels) & valid


LOWER_IS_BETTER = frozenset({"perplexity"})
RESAMPLES = 1000


def perplexity(items: np.ndarray) -> Score:
    """``exp`` of the mean negative log-likelihood per token, with a 95% bootstrap interval over items.

    items: ``[item, 2]``, summed negative log-likelihood and number of scored tokens of each text. The interval's
    half-width is 0 for a single text, which says nothing of how texts differ.
    """
    value = float(np.exp(items[:, 0].sum() / items[:, 1].sum()))
    drawn = np.random.default_rng(0).integers(len(items), size=(RESAMPLES, len(items)))
    sums = items[drawn].sum(axis=1)
    low, high = np.quantile(np.exp(sums[:, 0] / sums[:, 1]), [0.025, 0.975])
    return Score(value, float(high - low) / 2)


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
