"""Confidence intervals by bootstrap."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

Name = TypeVar("Name")
"""Type of a method's name."""

ALPHA = 0.05
"""Significance level of all tests, and one minus the confidence of all intervals."""

RESAMPLES = 2000
"""Number of bootstrap resamples."""

LEAST_EPISODES = 6
"""Smallest number of episodes for a bootstrap and for Wilcoxon's test, whose p with 5 episodes is at least 2 / 2**5."""

WEIGHTS_AT_ONCE = 2**24
"""Largest number of bootstrap weights in memory (128 MiB)."""


@dataclass(frozen=True)
class Interval:
    """A 95% confidence interval.

    Attributes:
        low: Lower end, in the unit of the estimate.
        high: Upper end.
    """

    low: float
    high: float

    def excludes_zero(self) -> bool:
        """Whether both ends are on the same side of zero."""
        return self.low > 0 or self.high < 0


@lru_cache(maxsize=2)
def _weights(n_units: int, n_resamples: int) -> Floats:
    """Number of draws of each unit, ``[resample, unit]``; equal sizes give equal draws, for reproducible intervals."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(n_units, size=(n_resamples, n_units))
    drawn += n_units * np.arange(n_resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=n_resamples * n_units).reshape(n_resamples, n_units).astype(np.float64)


def resampled_sums(parts: Floats) -> Floats:
    """Sums over units drawn with replacement.

    Args:
        parts: ``[unit, part]``.

    Returns:
        ``[resample, part]``, the same for the same parts.
    """
    n_units = len(parts)
    if n_units * RESAMPLES <= WEIGHTS_AT_ONCE:
        return _weights(n_units, RESAMPLES) @ parts
    # So many units are answers to queries, which have few distinct values.
    distinct, counts = np.unique(parts, axis=0, return_counts=True)
    return np.random.default_rng(0).multinomial(n_units, counts / n_units, size=RESAMPLES) @ distinct


def seed_effect(values: Floats, seeds: Sequence[int]) -> float:
    """Kish's design effect of seeds: the factor by which they increase the variance of the mean over episodes.

    The ratio of the variances between and within seeds, at least 1. If a method's initialisation matters, the scores
    of all episodes of a seed are correlated, and they carry less information than as many independent ones.

    Args:
        values: Scores, ``[episode]``.
        seeds: Seed of each episode, ``[episode]``.

    Returns:
        The factor; 1 for fewer than two seeds, or a seed with a single episode.
    """
    groups = [values[np.asarray(seeds) == seed] for seed in dict.fromkeys(seeds)]
    if len(groups) < 2 or min(map(len, groups)) < 2:
        return 1.0
    within = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    if within <= 1e-12 * len(values):
        return 1.0
    return max(1.0, float(stats.f_oneway(*groups).statistic))


def mean_interval(values: Floats, seeds: Sequence[int]) -> Interval:
    """Bootstrap-t interval of the mean over episodes of all seeds (Efron and Tibshirani 1993, chapter 12).

    Unlike percentiles of resampled means it is not too narrow for a dozen episodes.

    Args:
        values: Scores of two episodes or more, ``[episode]``.
        seeds: Seed of each episode, ``[episode]``.

    Returns:
        The interval, widened by the design effect of the seeds.
    """
    n, mean = len(values), float(values.mean())
    error = float(values.std(ddof=1)) / n**0.5
    if error < 1e-12 * max(1.0, abs(mean)):
        return Interval(mean, mean)
    centred = values - mean
    sums = resampled_sums(np.column_stack([centred, centred**2]))
    means = sums[:, 0] / n
    errors = np.sqrt(np.maximum(sums[:, 1] / n - means**2, 0) / (n - 1))
    # A resample of one repeated value has no spread; its studentised mean is infinite.
    with np.errstate(divide="ignore", invalid="ignore"):
        studentised = np.nan_to_num(means / errors, nan=0.0, posinf=np.inf, neginf=-np.inf)
    low, high = np.quantile(studentised, [1 - ALPHA / 2, ALPHA / 2], method="nearest")
    widened = error * seed_effect(values, seeds) ** 0.5
    # For few episodes of few distinct values an end can be infinite; it is bounded by three times Student's t.
    bound = float(stats.t.ppf(1 - ALPHA / 2, n - 1)) * 3
    return Interval(mean - min(float(low), bound) * widened, mean - max(float(high), -bound) * widened)


def episodes_ci95(values: Floats, seeds: Sequence[int]) -> float:
    """Half-width of the 95% interval of the mean over episodes, of one run or of all seeds of a row.

    Bootstrap-t for LEAST_EPISODES episodes or more, Student's t for fewer.

    Args:
        values: Scores of two episodes or more, ``[episode]``.
        seeds: Seed of each episode, ``[episode]``.

    Returns:
        The half-width, in the unit of the scores.
    """
    if len(values) >= LEAST_EPISODES:
        interval = mean_interval(values, seeds)
        return (interval.high - interval.low) / 2
    quantile = float(stats.t.ppf(1 - ALPHA / 2, len(values) - 1))
    return quantile * float(values.std(ddof=1)) / float(len(values) ** 0.5)


def bootstrap_ci95(parts: Floats, score: Callable[[Floats], Floats]) -> float:
    """Half-width of the 95% percentile bootstrap interval of a score of summed parts (Efron and Tibshirani 1993).

    Args:
        parts: ``[unit, part]``.
        score: Function from sums of parts ``[..., part]`` to scores ``[...]``.

    Returns:
        The half-width, in the unit of the score; 0 for fewer than two units.
    """
    if len(parts) < 2:
        return 0.0
    low, high = np.quantile(score(resampled_sums(parts)), [ALPHA / 2, 1 - ALPHA / 2])
    return float(high - low) / 2
