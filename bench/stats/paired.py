"""Statistics of benchmark scores on plain arrays: intervals, paired tests, tiers, and comparisons over tasks.

docs/statistics.md says in one page what is tested and why. scipy and statsmodels do the tests.
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


def compare_parts(a: Floats, b: Floats, present: NDArray[np.bool_], score: Callable[[Floats], Floats]) -> Paired:
    """Two methods on the same texts, scored together: paired bootstrap (Koehn 2004, aclanthology.org/W04-3250).

    A text is drawn with all episodes that it is in, and each draw is scored as a run is: by the mean over episodes.

    Args:
        a: ``[query, episode, part]``, 0 where a query is not in an episode.
        b: The same of the other method.
        present: ``[query, episode]``, which queries each episode has.
        score: From sums of parts ``[..., part]`` to scores ``[...]``.
    """

    def mean_score(sums: Floats, counts: Floats) -> Floats:
        # An episode of which a draw has no text says nothing.
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = np.where(counts > 0, score(sums), 0.0)
        return np.asarray(scores.sum(axis=-1) / (counts > 0).sum(axis=-1))

    counts = present.sum(axis=0).astype(np.float64)
    totals = [float(mean_score(parts.sum(axis=0), counts)) for parts in (a, b)]
    # The same draws of both.
    n_queries, n_episodes, n_parts = a.shape
    columns = np.concatenate([a, b, present[..., None]], axis=2).reshape(n_queries, -1)
    sums = resampled_sums(columns).reshape(-1, n_episodes, 2 * n_parts + 1)
    drawn = sums[..., -1]
    resampled = mean_score(sums[..., :n_parts], drawn) - mean_score(sums[..., n_parts:-1], drawn)
    low, high = np.quantile(resampled, [ALPHA / 2, 1 - ALPHA / 2])
    # One is added to both, so that no p is 0 (Davison and Hinkley 1997, 4.2.3).
    sides = [(1 + int((sign * resampled >= 0).sum())) / (1 + RESAMPLES) for sign in (1, -1)]
    own = score(a.sum(axis=1)) - score(b.sum(axis=1))
    spread = float(resampled.std(ddof=1))
    detectable = None if spread == 0 else float(stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(0.8)) * spread
    return Paired(
        totals[0], totals[1], totals[0] - totals[1], Interval(float(low), float(high)), min(1.0, 2 * min(sides)),
        "paired bootstrap", "queries", n_queries, _rank_biserial(own), detectable,
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
