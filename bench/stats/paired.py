"""Paired tests of two methods on shared episodes or queries, and their correction for multiple comparisons.

docs/statistics.md explains the choice of tests; scipy and statsmodels compute them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.power import TTestPower

from bench.stats.intervals import ALPHA, RESAMPLES, Floats, Interval, mean_interval, resampled_sums


@dataclass(frozen=True)
class Paired:
    """Paired comparison of two methods on the same units: episodes, or queries if there are too few episodes.

    Attributes:
        a: Score of the first method over all units, in the metric's unit.
        b: Score of the second method.
        difference: a - b.
        interval: 95% interval of the difference.
        p_value: Two-sided p-value of the test.
        test: Name of the test.
        unit: Kind of the units.
        n_units: Number of units.
        effect: Matched rank-biserial correlation of the differences (Kerby 2014), from -1 to 1.
        detectable: Smallest difference that such a comparison finds with a power of 80%; None where it is unknown.
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

    def is_significant(self, adjusted_p: float) -> bool:
        """Whether the methods differ, by the test and by the interval.

        Args:
            adjusted_p: The p-value, adjusted for all tests of the family.
        """
        return adjusted_p < ALPHA and self.interval.excludes_zero()


def _rank_biserial(differences: Floats) -> float:
    """Matched rank-biserial correlation, 0 without any difference."""
    changed = differences[differences != 0]
    if len(changed) == 0:
        return 0.0
    ranks = stats.rankdata(np.abs(changed))
    return float((np.sign(changed) * ranks).sum() / ranks.sum())


@lru_cache(maxsize=64)
def _detectable_effect(n_units: int) -> float:
    """Effect that a paired t-test finds with a power of 80%, in standard deviations of the differences."""
    return float(np.ravel(TTestPower().solve_power(nobs=n_units, alpha=ALPHA, power=0.8))[0])


def _detectable(differences: Floats) -> float | None:
    """Detectable difference of a paired t-test, whose power the tests of this module nearly have."""
    spread = float(differences.std(ddof=1))
    return None if len(differences) < 3 or spread == 0 else _detectable_effect(len(differences)) * spread


def _wilcoxon(differences: Floats) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test; 1 without any difference."""
    # Rounding errors are no differences.
    rounded = np.round(differences, 9)
    if not rounded.any():
        return 1.0
    return float(stats.wilcoxon(rounded, zero_method="wilcox").pvalue)


def compare_episodes(a: Floats, b: Floats, seeds: Sequence[int]) -> Paired:
    """Compare the scores of two methods on the same episodes by Wilcoxon's signed-rank test.

    Args:
        a: Scores of the first method, ``[episode]``.
        b: Scores of the second method, ``[episode]``.
        seeds: Seed of each episode, ``[episode]``, for the width of the interval.

    Returns:
        The comparison, with a bootstrap-t interval.
    """
    differences = a - b
    return Paired(
        float(a.mean()), float(b.mean()), float(differences.mean()), mean_interval(differences, seeds),
        _wilcoxon(differences), "Wilcoxon", "episodes", len(a), _rank_biserial(np.round(differences, 9)),
        _detectable(differences),
    )  # fmt: skip


def compare_answers(a: Floats, b: Floats) -> Paired:
    """Compare the accuracies of two methods on the same queries by McNemar's exact test.

    Args:
        a: 1 for each correct answer of the first method and 0 for each wrong one, ``[query]``.
        b: The same of the second method.

    Returns:
        The comparison, in %.
    """
    differences = 100 * (a - b)
    only_a, only_b = int((a > b).sum()), int((a < b).sum())
    same = [int(((a == value) & (b == value)).sum()) for value in (1, 0)]
    p_value = float(mcnemar([[same[0], only_a], [only_b, same[1]]], exact=True).pvalue)
    return Paired(
        100 * float(a.mean()), 100 * float(b.mean()), float(differences.mean()),
        mean_interval(differences, [0] * len(a)), p_value, "McNemar", "queries", len(a), _rank_biserial(differences),
        _detectable(differences),
    )  # fmt: skip


def compare_parts(a: Floats, b: Floats, present: NDArray[np.bool_], score: Callable[[Floats], Floats]) -> Paired:
    """Compare two methods on the same texts by a paired bootstrap (Koehn 2004, aclanthology.org/W04-3250).

    A resample draws a text with all episodes that it belongs to, and is scored like a run: by the mean over episodes.

    Args:
        a: Parts of the first method, ``[query, episode, part]``, 0 for a query outside an episode.
        b: Parts of the second method.
        present: ``[query, episode]``, True for the queries of each episode.
        score: Function from sums of parts ``[..., part]`` to scores ``[...]``.

    Returns:
        The comparison, in the unit of the score.
    """

    def mean_score(sums: Floats, counts: Floats) -> Floats:
        # An episode without any drawn text is left out of the mean.
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = np.where(counts > 0, score(sums), 0.0)
        return np.asarray(scores.sum(axis=-1) / (counts > 0).sum(axis=-1))

    counts = present.sum(axis=0).astype(np.float64)
    totals = [float(mean_score(parts.sum(axis=0), counts)) for parts in (a, b)]
    # Both methods share the resamples.
    n_queries, n_episodes, n_parts = a.shape
    columns = np.concatenate([a, b, present[..., None]], axis=2).reshape(n_queries, -1)
    sums = resampled_sums(columns).reshape(-1, n_episodes, 2 * n_parts + 1)
    drawn = sums[..., -1]
    resampled = mean_score(sums[..., :n_parts], drawn) - mean_score(sums[..., n_parts:-1], drawn)
    low, high = np.quantile(resampled, [ALPHA / 2, 1 - ALPHA / 2])
    # One is added to both counts, so that no p-value is 0 (Davison and Hinkley 1997, 4.2.3).
    sides = [(1 + int((sign * resampled >= 0).sum())) / (1 + RESAMPLES) for sign in (1, -1)]
    own = score(a.sum(axis=1)) - score(b.sum(axis=1))
    spread = float(resampled.std(ddof=1))
    detectable = None if spread == 0 else float(stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(0.8)) * spread
    return Paired(
        totals[0], totals[1], totals[0] - totals[1], Interval(float(low), float(high)), min(1.0, 2 * min(sides)),
        "paired bootstrap", "queries", n_queries, _rank_biserial(own), detectable,
    )  # fmt: skip


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for multiple comparisons (Holm 1979): 95 of 100 families of tests then have no false positive.

    Equal to statsmodels' ``multipletests``, which starts with a garbage collection: a second with a large heap.

    Args:
        p_values: p-values of the family.

    Returns:
        Adjusted p-values in the same order.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return [float(value) for value in adjusted]
