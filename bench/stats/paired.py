"""Paired tests of two methods on shared episodes or queries, and their correction for multiple comparisons.

docs/statistics.md explains the choice of tests.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.stats.comparison import Paired
from bench.stats.distributions import average_ranks, sign_test, t_tail
from bench.stats.intervals import Floats, Interval, Mean, blocks, mean_of

EXACT_UNITS = 12
"""Largest number of units with a difference whose swaps are all gone through; there are 2**12 of them."""


def _rank_biserial(differences: Floats) -> float:
    """Matched rank-biserial correlation, 0 without any difference."""
    changed = differences[differences != 0]
    if len(changed) == 0:
        return 0.0
    ranks = average_ranks(np.abs(changed))
    return float((np.sign(changed) * ranks).sum() / ranks.sum())


@lru_cache(maxsize=16)
def swaps(n_units: int) -> Floats:
    """All ways to swap the methods in some units, ``[swap, unit]`` of 0 and 1; the first unit stays, by symmetry."""
    numbers = np.arange(2 ** max(0, n_units - 1))[:, None]
    return (numbers >> np.arange(n_units - 1, -1, -1) & 1).astype(np.float64)


def _share_as_large(swapped: Floats, difference: float) -> float:
    """Share of swaps with a difference at least as large; the first swap is none."""
    least = abs(difference) - 1e-9 * max(1.0, abs(difference))
    return float((np.abs(swapped) >= least).mean())


def least_p(n_units: int) -> float:
    """Smallest p-value of a test by swaps or signs."""
    return float(2.0 ** (1 - n_units))


def _students(found: Mean) -> tuple[Interval, float]:
    """Interval of a mean difference by Student's t, and its p-value; no p-value is below that of a test of signs."""
    if found.error <= 1e-12 * max(1.0, abs(found.value)):
        changed = abs(found.value) > 1e-9
        return Interval(found.value, found.value), least_p(found.n_units) if changed else 1.0
    reach = found.quantile * found.error
    p_value = 2 * t_tail(abs(found.value) / found.error, found.df)
    return Interval(found.value - reach, found.value + reach), p_value


def _paired(a: Floats, b: Floats, clusters: Sequence[int] | None, unit: Literal["episodes", "queries"]) -> Paired:
    """Comparison of mean scores: exact for few independent units, by Student's t for more or for clusters."""
    differences = np.round(a - b, 9)  # rounding errors are no differences
    found = mean_of(differences, clusters)
    interval, p_value = _students(found)
    test, least = "Student's t", 0.0
    if found.n_units != len(a):
        test = "Student's t over seeds"
    elif len(changed := differences[differences != 0]) <= EXACT_UNITS:
        swapped = (1 - 2 * swaps(len(changed))) @ changed / len(a)
        test, p_value, least = "exact swaps", _share_as_large(swapped, found.value), least_p(len(a))
    return Paired(
        float(a.mean()), float(b.mean()), float((a - b).mean()), interval, p_value, least, test, unit, len(a),
        _rank_biserial(differences), found.spread or None, found.n_units,
    )  # fmt: skip


def compare_episodes(a: Floats, b: Floats, clusters: Sequence[int] | None = None) -> Paired:
    """Compare the scores of two methods on the same episodes.

    If two methods are equal, their scores of an episode could as well be swapped: with up to EXACT_UNITS of them that
    differ all swaps are gone through (Fisher 1935), with more Student's paired t stands for them.

    Args:
        a: Scores of the first method on two episodes or more, ``[episode]``.
        b: Scores of the second method, ``[episode]``.
        clusters: Seed of each episode, where a method's episodes of a seed share random numbers: then seeds are the
            units, by Student's t with one degree of freedom less than there are seeds.

    Returns:
        The comparison.
    """
    return _paired(a, b, clusters, "episodes")


def compare_shares(a: Floats, b: Floats) -> Paired:
    """Compare the mean scores of two methods over the same queries, as ``compare_episodes`` does.

    Args:
        a: Contribution of each query to the score of the first method, ``[query]``.
        b: The same of the second method.

    Returns:
        The comparison.
    """
    return _paired(a, b, None, "queries")


def compare_answers(a: Floats, b: Floats) -> Paired:
    """Compare the accuracies of two methods on the same queries by McNemar's exact test.

    Args:
        a: 1 for each correct answer of the first method and 0 for each wrong one, ``[query]``.
        b: The same of the second method.

    Returns:
        The comparison, in %.
    """
    n, right_a, right_b = len(a), int(a.sum()), int(b.sum())
    both = int(a @ b)
    only_a, only_b = right_a - both, right_b - both
    changed, more = only_a + only_b, only_a - only_b
    # The standard error of differences of 1, 0 and -1, by whole numbers: n times their squared deviations.
    found = Mean(100 * more / n, 100 * ((changed * n - more**2) / (n - 1)) ** 0.5 / n, n - 1, n)
    return Paired(
        100 * right_a / n, 100 * right_b / n, found.value, _students(found)[0], sign_test(only_a, changed), least_p(n),
        "McNemar", "queries", n, more / changed if changed else 0.0, found.spread or None, n,
    )  # fmt: skip


def compare_parts(a: Floats, b: Floats, present: NDArray[np.bool_], score: Callable[[Floats], Floats]) -> Paired:
    """Compare two methods on the same texts, by swaps of whole texts.

    If two methods are equal, their answers to a text could as well be swapped: with up to EXACT_UNITS texts all swaps
    are scored, with more Student's t of the jackknife's pseudo-values stands for them. A text is swapped, or left out,
    in all episodes that it belongs to, and scored like a run: by the mean over episodes.

    Args:
        a: Parts of the first method, ``[query, episode, part]``, 0 for a query outside an episode.
        b: Parts of the second method.
        present: ``[query, episode]``, True for the queries of each episode.
        score: Function from sums of parts ``[..., part]`` to scores ``[...]``.

    Returns:
        The comparison, in the unit of the score.
    """

    def mean_score(sums: Floats, counts: Floats) -> Floats:
        # An episode without any text is left out of the mean.
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = np.where(counts > 0, score(sums), 0.0)
        return np.asarray(scores.sum(axis=-1) / (counts > 0).sum(axis=-1))

    counts = present.astype(np.float64)
    sums, total = [parts.sum(axis=0) for parts in (a, b)], counts.sum(axis=0)
    scores = [float(mean_score(each, total)) for each in sums]
    difference = scores[0] - scores[1]
    n_queries = len(a)
    rest = total - blocks(counts)
    without = mean_score(sums[0] - blocks(a), rest) - mean_score(sums[1] - blocks(b), rest)
    n = len(without)
    # The mean of the pseudo-values has less bias than the difference, and more variance; the difference is kept.
    error = float(without.std() * (n - 1) ** 0.5)
    interval, p_value = _students(Mean(difference, error, n - 1, n))
    test, least = "jackknife t", 0.0
    changed = (a != b).any(axis=(1, 2))
    if changed.sum() <= EXACT_UNITS:
        moved = np.tensordot(swaps(int(changed.sum())), (b - a)[changed], axes=1)
        swapped = mean_score(sums[0] + moved, total) - mean_score(sums[1] - moved, total)
        test, p_value, least = "exact swaps", _share_as_large(swapped, difference), least_p(n_queries)
    own = score(a.sum(axis=1)) - score(b.sum(axis=1))
    return Paired(
        scores[0], scores[1], difference, interval, p_value, least, test, "queries", n_queries,
        _rank_biserial(np.round(own, 9)), error * n_queries**0.5 or None, n_queries,
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
