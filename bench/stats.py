"""Statistics of benchmark scores on plain arrays: intervals, paired tests, tiers, and comparisons over tasks.

docs/statistics.md says in one page what is tested and why. scipy and statsmodels do the tests.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.power import TTestPower

Floats = NDArray[np.float64]
Name = TypeVar("Name")
ALPHA = 0.05
RESAMPLES = 2000
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


@dataclass(frozen=True)
class Paired:
    """Two methods on the same units: episodes, or queries where there are too few episodes.

    a, b, difference: scores over all units and a - b, in the metric's unit. p_value: of ``test``, two-sided.
    effect: matched rank-biserial correlation of the differences (Kerby 2014), from -1 to 1. detectable: the smallest
    difference that would be found in four of five such comparisons; None where it is not known.
    """

    a: float
    b: float
    difference: float
    interval: Interval
    p_value: float
    test: str
    unit: Literal["episodes", "queries"]
    n_units: int
    effect: float
    detectable: float | None

    def claims(self, adjusted_p: float) -> bool:
        """Whether the two differ: by the test, adjusted for all that were made, and by the interval."""
        return adjusted_p < ALPHA and self.interval.excludes_zero()


def _rank_biserial(differences: Floats) -> float:
    changed = differences[differences != 0]
    if len(changed) == 0:
        return 0.0
    ranks = stats.rankdata(np.abs(changed))
    return float((np.sign(changed) * ranks).sum() / ranks.sum())


@lru_cache(maxsize=64)
def _detectable_effect(n_units: int) -> float:
    """In standard deviations of the differences, found with a power of 80% by a paired t-test."""
    return float(np.ravel(TTestPower().solve_power(nobs=n_units, alpha=ALPHA, power=0.8))[0])


def _detectable(differences: Floats) -> float | None:
    """The tests used here have close to the power of a t-test."""
    spread = float(differences.std(ddof=1))
    return None if len(differences) < 3 or spread == 0 else _detectable_effect(len(differences)) * spread


def _wilcoxon(differences: Floats) -> float:
    """Two-sided p; where nothing differs there is nothing to claim."""
    # What differs by a rounding error only does not differ.
    rounded = np.round(differences, 9)
    if not rounded.any():
        return 1.0
    return float(stats.wilcoxon(rounded, zero_method="wilcox").pvalue)


def compare_episodes(a: Floats, b: Floats, seeds: Sequence[int]) -> Paired:
    """Scores ``[episode]`` of two methods on the same episodes: Wilcoxon's signed-rank test, bootstrap interval."""
    differences = a - b
    return Paired(
        float(a.mean()), float(b.mean()), float(differences.mean()), mean_interval(differences, seeds),
        _wilcoxon(differences), "Wilcoxon", "episodes", len(a), _rank_biserial(np.round(differences, 9)),
        _detectable(differences),
    )  # fmt: skip


def compare_answers(a: Floats, b: Floats) -> Paired:
    """Right (1) or wrong (0) answers ``[query]`` of two methods to the same queries, in %: exact McNemar's test."""
    differences = 100 * (a - b)
    only_a, only_b = int((a > b).sum()), int((a < b).sum())
    same = [int(((a == value) & (b == value)).sum()) for value in (1, 0)]
    p_value = float(mcnemar([[same[0], only_a], [only_b, same[1]]], exact=True).pvalue)
    return Paired(
        100 * float(a.mean()), 100 * float(b.mean()), float(differences.mean()),
        mean_interval(differences, [0] * len(a)), p_value, "McNemar", "queries", len(a), _rank_biserial(differences),
        _detectable(differences),
    )  # fmt: skip


def compare_parts(a: Floats, b: Floats, score: Callable[[Floats], Floats]) -> Paired:
    """Two methods on the same texts, scored together: paired bootstrap (Koehn 2004, aclanthology.org/W04-3250).

    a, b: ``[query, part]``. score: from sums of parts ``[..., part]`` to scores ``[...]``.
    """
    totals = [float(score(parts.sum(axis=0))) for parts in (a, b)]
    # The same draws of both.
    sums = resampled_sums(np.hstack([a, b]))
    resampled = score(sums[:, : a.shape[1]]) - score(sums[:, a.shape[1] :])
    low, high = np.quantile(resampled, [ALPHA / 2, 1 - ALPHA / 2])
    # One is added to both, so that no p is 0 (Davison and Hinkley 1997, 4.2.3).
    sides = [(1 + int((sign * resampled >= 0).sum())) / (1 + RESAMPLES) for sign in (1, -1)]
    own = score(a) - score(b)
    spread = float(resampled.std(ddof=1))
    detectable = None if spread == 0 else float(stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(0.8)) * spread
    return Paired(
        totals[0], totals[1], totals[0] - totals[1], Interval(float(low), float(high)), min(1.0, 2 * min(sides)),
        "paired bootstrap", "queries", len(a), _rank_biserial(own), detectable,
    )  # fmt: skip


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted for being several (Holm 1979), so that in 95 of 100 families of tests no claim is false.

    As statsmodels' ``multipletests`` has it, which takes a second where much is in memory: it collects garbage first.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return [float(each) for each in adjusted]


def tiers(ordered: Sequence[Name], apart: Collection[frozenset[Name]]) -> list[int]:
    """The tier of each of ``ordered``, best first, counted from 1. apart: the pairs that are told apart.

    A tier ends where everything above is told apart from everything below, as in WMT's clusters (Bojar et al. 2013,
    aclanthology.org/W13-2201): whatever cannot be told apart shares a tier, by a chain of others if need be.
    """
    made, tier = [], 1
    for index, _ in enumerate(ordered):
        above, below = ordered[:index], ordered[index:]
        if index and all(frozenset((one, other)) in apart for one in above for other in below):
            tier += 1
        made.append(tier)
    return made


@dataclass(frozen=True)
class Overview:
    """Methods over tasks that all of them were run on (Demšar 2006, jmlr.org/papers/v7/demsar06a.html).

    mean_rank: 1 for one that is best everywhere. normalised: mean of the scores with the worst method of each task
    at 0 and the best at 100. friedman_p: of all methods being equal; None for fewer than three methods or two tasks.
    critical_difference: mean ranks closer than it cannot be told apart (Nemenyi); None likewise. groups: the largest
    sets of methods within it of each other, best first.
    """

    tasks: list[str]
    mean_rank: dict[str, float]
    normalised: dict[str, float]
    friedman_p: float | None
    critical_difference: float | None
    groups: list[list[str]]


def over_tasks(worth: Mapping[str, Mapping[str, float]]) -> Overview:
    """worth: by task and method, larger for better; every task has the same methods, 2 at least, in any order."""
    tasks, methods = list(worth), list(next(iter(worth.values())))
    table = np.array([[worth[task][method] for method in methods] for task in tasks])
    ranks = np.stack([stats.rankdata(-row) for row in table]).mean(axis=0)
    low, span = table.min(axis=1, keepdims=True), np.ptp(table, axis=1, keepdims=True)
    # Where all are equal all are as good as the best.
    normalised = np.where(span > 0, (table - low) / np.where(span > 0, span, 1), 1.0).mean(axis=0)
    order = [int(index) for index in np.argsort(ranks, kind="stable")]
    mean_rank = {methods[index]: float(ranks[index]) for index in order}
    critical = friedman = None
    if len(methods) > 2 and len(tasks) > 1:
        k = len(methods)
        quantile = float(stats.studentized_range.ppf(1 - ALPHA, k, np.inf)) / 2**0.5
        critical = quantile * (k * (k + 1) / (6 * len(tasks))) ** 0.5
        # All ranks tied everywhere divide nothing by nothing.
        with np.errstate(invalid="ignore"):
            friedman = float(np.nan_to_num(stats.friedmanchisquare(*table.T).pvalue, nan=1.0))
    return Overview(
        tasks,
        mean_rank,
        {methods[index]: 100 * float(normalised[index]) for index in order},
        friedman,
        critical,
        [] if critical is None else _within(mean_rank, critical),
    )


def _within(mean_rank: Mapping[str, float], critical: float) -> list[list[str]]:
    """The largest runs of ``mean_rank``, in its order, whose ends are no further apart than ``critical``."""
    names, groups = list(mean_rank), list[list[str]]()
    for index, name in enumerate(names):
        group = [other for other in names[index:] if mean_rank[other] - mean_rank[name] <= critical]
        if not groups or not set(group) <= set(groups[-1]):
            groups.append(group)
    return groups
