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


ALPHA = 0.05


RESAMPLES = 2000


LEAST_EPISODES = 6
"""Fewer episodes are too few for a bootstrap, and for Wilcoxon's test, whose p is then never below 2 / 2**5."""


NUMBERS_AT_ONCE = 2**24
"""Largest number of weights of a bootstrap in memory (128 MiB), whatever the number of units."""


@dataclass(frozen=True)
class Interval:
    """A 95% interval, in the unit of what it is of."""

    low: float
    high: float

    def excludes_zero(self) -> bool:
        """Whether all of it lies on one side of zero."""
        return self.low > 0 or self.high < 0


@lru_cache(maxsize=2)
def _weights(n_units: int, n_resamples: int) -> Floats:
    """How often each unit is drawn, ``[resample, unit]``; the same for the same sizes, so that answers repeat."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(n_units, size=(n_resamples, n_units))
    drawn += n_units * np.arange(n_resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=n_resamples * n_units).reshape(n_resamples, n_units).astype(np.float64)


def resampled_sums(parts: Floats) -> Floats:
    """Sums of ``parts [unit, part]`` over units drawn with replacement, ``[resample, part]``."""
    n_units = len(parts)
    if n_units * RESAMPLES <= NUMBERS_AT_ONCE:
        return _weights(n_units, RESAMPLES) @ parts
    # Many units are answers to queries, which have few different values.
    distinct, counts = np.unique(parts, axis=0, return_counts=True)
    return np.random.default_rng(0).multinomial(n_units, counts / n_units, size=RESAMPLES) @ distinct


def seed_effect(values: Floats, seeds: Sequence[int]) -> float:
    """By what factor seeds widen the variance of the mean of ``values [episode]``: Kish's design effect, 1 for none.

    The ratio of variances between and within seeds, 1 at least: a method whose initialisation matters scores all
    episodes of a seed higher or lower together, and they then count for less than as many of their own.
    """
    groups = [values[np.asarray(seeds) == seed] for seed in dict.fromkeys(seeds)]
    if len(groups) < 2 or min(map(len, groups)) < 2:
        return 1.0
    within = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    if within <= 1e-12 * len(values):
        return 1.0
    return max(1.0, float(stats.f_oneway(*groups).statistic))


def mean_interval(values: Floats, seeds: Sequence[int]) -> Interval:
    """Of the mean over episodes of all seeds: bootstrap-t (Efron and Tibshirani 1993, chapter 12).

    values: ``[episode]``, 2 at least. Unlike percentiles of resampled means it is not too narrow for a dozen episodes.
    """
    n, mean = len(values), float(values.mean())
    error = float(values.std(ddof=1)) / n**0.5
    if error < 1e-12 * max(1.0, abs(mean)):
        return Interval(mean, mean)
    centred = values - mean
    sums = resampled_sums(np.column_stack([centred, centred**2]))
    means = sums[:, 0] / n
    errors = np.sqrt(np.maximum(sums[:, 1] / n - means**2, 0) / (n - 1))
    # A resample of one value again and again has no spread; it says "as far as can be".
    with np.errstate(divide="ignore", invalid="ignore"):
        studentised = np.nan_to_num(means / errors, nan=0.0, posinf=np.inf, neginf=-np.inf)
    low, high = np.quantile(studentised, [1 - ALPHA / 2, ALPHA / 2], method="nearest")
    wide = error * seed_effect(values, seeds) ** 0.5
    # Few episodes of few different values can leave no end at all; Student's t has one.
    bound = float(stats.t.ppf(1 - ALPHA / 2, n - 1)) * 3
    return Interval(mean - min(float(low), bound) * wide, mean - max(float(high), -bound) * wide)


def episodes_ci95(values: Floats, seeds: Sequence[int]) -> float:
    """Half-width of the 95% interval of the mean over episodes, of one run or of all seeds of a row.

    Bootstrap-t from LEAST_EPISODES on, Student's t of fewer.

    Args:
        values: Scores of two episodes or more, ``[episode]``.
        seeds: The seed of each episode's run, ``[episode]``.
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
        score: From sums of parts ``[..., part]`` to scores ``[...]``.
    """
    if len(parts) < 2:
        return 0.0
    low, high = np.quantile(score(resampled_sums(parts)), [ALPHA / 2, 1 - ALPHA / 2])
    return float(high - low) / 2
