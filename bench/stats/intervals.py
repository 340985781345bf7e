"""Confidence intervals of means over episodes, and of scores of summed parts, on the scale of their metric."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.stats.distributions import t_quantile

Floats = NDArray[np.float64]

Name = TypeVar("Name")
"""Type of a method's name."""

ALPHA = 0.05
"""Significance level of all tests, and one minus the confidence of all intervals."""

LEAST_EPISODES = 6
"""Smallest number of episodes that are tested as such: with 5, a test of signs has a p of at least 2 / 2**5."""

BLOCKS = 1000
"""Largest number of blocks of a jackknife; of more units, neighbours share a block."""


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

    def clipped(self, low: float, high: float) -> "Interval":
        """The part between two bounds."""
        return Interval(min(max(self.low, low), high), max(min(self.high, high), low))


@dataclass(frozen=True)
class Scale:
    """The scale of a metric, on which its intervals are made.

    Attributes:
        low: Smallest possible score.
        high: Largest possible score.
        log: Whether ratios of scores matter rather than differences, as for perplexity.
    """

    low: float = -np.inf
    high: float = np.inf
    log: bool = False

    def interval(self, estimate: float, error: float, quantile: float, n_queries: int = 0) -> Interval | None:
        """Interval of a score with a standard error, inside the bounds.

        On a logarithmic scale it is symmetric in the logarithm. Between two finite bounds it is Wilson's score interval
        (1927) of as many independent answers as would give this error (Dean and Pagano 2015), asymmetric near a bound.
        Otherwise it is symmetric, and clipped.

        Args:
            estimate: The score.
            error: Its standard error.
            quantile: Of Student's t or the normal distribution.
            n_queries: Queries behind the score; between two bounds the error of equal values is that of one of them.

        Returns:
            The interval; None without any spread to estimate an error from.
        """
        if np.isfinite(self.low) and np.isfinite(self.high) and not self.log:
            return self._wilson(estimate, error, quantile, n_queries)
        if error <= 1e-12 * max(1.0, abs(estimate)):
            return None
        if self.log and estimate > 0:
            factor = float(np.exp(min(quantile * error / estimate, 700.0)))
            return Interval(estimate / factor, estimate * factor).clipped(self.low, self.high)
        return Interval(estimate - quantile * error, estimate + quantile * error).clipped(self.low, self.high)

    def _wilson(self, estimate: float, error: float, quantile: float, n_queries: int) -> Interval | None:
        span = self.high - self.low
        share = min(max((estimate - self.low) / span, 0.0), 1.0)
        error /= span
        if error <= 1e-12:
            if n_queries == 0:
                return None
            error = 1 / n_queries  # as of one answer that could have been another
        variance = share * (1 - share)
        # Without a wrong (or right) answer the answers themselves are counted.
        answers = variance / error**2 if variance > 1e-12 else float(max(n_queries, 1))
        squared = quantile**2 / answers
        middle = (share + squared / 2) / (1 + squared)
        reach = float(np.sqrt(squared * variance + squared**2 / 4)) / (1 + squared)
        ends = (self.low + span * (middle - reach), self.low + span * (middle + reach))
        return Interval(min(ends[0], estimate), max(ends[1], estimate)).clipped(self.low, self.high)


@dataclass(frozen=True)
class Mean:
    """A mean and how well it is known.

    Attributes:
        value: The mean over units.
        error: Its standard error.
        df: Degrees of freedom of the error.
        n_units: Number of independent units: values, or clusters of them.
    """

    value: float
    error: float
    df: int
    n_units: int

    @property
    def quantile(self) -> float:
        """Quantile of Student's t for a 95% interval."""
        return t_quantile(1 - ALPHA / 2, self.df)

    @property
    def spread(self) -> float:
        """Standard deviation of a unit."""
        return self.error * float(self.n_units**0.5)


def mean_of(values: Floats, clusters: Sequence[int] | None = None) -> Mean:
    """The mean of values with its standard error.

    Args:
        values: Two values or more, ``[unit]``.
        clusters: Cluster of each value, ``[unit]``. Values of one cluster are more alike than those of different ones,
            so that two clusters or more are the independent units, with one degree of freedom less than there are
            clusters. None, or a single cluster, for independent values.

    Returns:
        The mean over all values.
    """
    mean = float(values.mean())
    names, members = (np.unique(clusters, return_inverse=True)) if clusters is not None else (np.empty(0), None)
    if members is None or len(names) < 2:
        n = len(values)
        return Mean(mean, float(values.std(ddof=1)) / n**0.5, n - 1, n)
    # Sums of deviations of each cluster; for clusters of one size, the error of the mean of their means.
    deviations = np.bincount(members, weights=values - mean)
    n = len(names)
    return Mean(mean, float(np.sqrt(n / (n - 1) * (deviations**2).sum())) / len(values), n - 1, n)


def mean_interval(
    values: Floats, clusters: Sequence[int] | None = None, scale: Scale | None = None, n_queries: int = 0
) -> Interval | None:
    """Interval of the mean over episodes, of one run or of all seeds of a row.

    Args:
        values: Scores, ``[episode]``.
        clusters: Seed of each episode, where the episodes of a seed share random numbers; see ``mean_of``.
        scale: Scale of the metric; by default without bounds.
        n_queries: Queries of all episodes.

    Returns:
        The interval; None for fewer than two episodes, or where nothing tells how they spread.
    """
    if len(values) < 2:
        return None
    found = mean_of(values, clusters)
    return (scale or Scale()).interval(found.value, found.error, found.quantile, n_queries)


def blocks(parts: Floats) -> Floats:
    """Sums of neighbouring units, at most BLOCKS of them: ``[block, ...]`` of ``[unit, ...]``."""
    if len(parts) <= BLOCKS:
        return parts
    starts = np.linspace(0, len(parts), BLOCKS, endpoint=False).astype(int)
    return np.asarray(np.add.reduceat(parts, starts, axis=0))


def parts_interval(parts: Floats, score: Callable[[Floats], Floats], scale: Scale | None = None) -> Interval | None:
    """Jackknife interval of a score of summed parts, with Student's t (Tukey 1958).

    Args:
        parts: ``[unit, part]``.
        score: Function from sums of parts ``[..., part]`` to scores ``[...]``.
        scale: Scale of the metric; by default without bounds.

    Returns:
        The interval; None for fewer than two units, or units that are all alike.
    """
    scale = scale or Scale()
    if len(parts) < 2:
        return None
    total = parts.sum(axis=0)
    estimate = float(score(total))
    without = score(total - blocks(parts))
    n = len(without)
    if scale.log and estimate > 0:
        error = estimate * float(np.log(without).std() * (n - 1) ** 0.5)
    else:
        error = float(without.std() * (n - 1) ** 0.5)
    return scale.interval(estimate, error, t_quantile(1 - ALPHA / 2, n - 1), len(parts))


def share_low(found: NDArray[np.int64], total: NDArray[np.int64]) -> Floats:
    """Lower end of Wilson's 95% interval of a share, by which shares of small and large numbers can be ordered.

    Args:
        found: ``[item]``, number of cases.
        total: ``[item]``, number of trials, 1 or more.

    Returns:
        ``[item]``, between 0 and the share.
    """
    square = NormalDist().inv_cdf(1 - ALPHA / 2) ** 2
    share = found / total
    spread = np.sqrt(square * (share * (1 - share) / total + square / (4 * total**2)))
    return np.asarray((share + square / (2 * total) - spread) / (1 + square / total))
