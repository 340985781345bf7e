"""Ranks: tiers of methods on one task, and mean ranks over tasks."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.stats.distributions import Floats, average_ranks, chi2_tail, range_quantile
from bench.stats.intervals import ALPHA, Name


def tiers(ordered: Sequence[Name], significant: Collection[frozenset[Name]]) -> list[int]:
    """Tiers of methods, like the clusters of WMT (Bojar et al. 2013, aclanthology.org/W13-2201).

    A tier ends where every method above differs significantly from every method below. Two methods without a
    significant difference share a tier, and so do all methods between them.

    Args:
        ordered: Names of the methods, best first.
        significant: Pairs of methods with a significant difference.

    Returns:
        The tier of each method in the same order, counted from 1.
    """
    place = {name: index for index, name in enumerate(ordered)}
    # By the first method of a possible tier, the significant pairs with one method above it and one not.
    crossing = np.zeros(len(ordered) + 1, dtype=np.int64)
    for pair in significant:
        above, below = sorted(place[name] for name in pair)
        crossing[above + 1] += 1
        crossing[below + 1] -= 1
    starts = np.arange(len(ordered))
    is_end = np.cumsum(crossing)[:-1] == starts * (len(ordered) - starts)
    return [int(number) for number in np.cumsum(is_end)]


def rank_ranges(ordered: Sequence[Name], significant: Collection[frozenset[Name]]) -> list[tuple[int, int]]:
    """Ranks that each method may have, given the significant differences (Mogstad et al. 2024, but by test and Holm).

    Args:
        ordered: Names of the methods, best first.
        significant: Pairs of methods with a significant difference.

    Returns:
        The best and the worst rank of each method in the same order: after all that are significantly better, and
        before all that are significantly worse.
    """
    place = {name: index for index, name in enumerate(ordered)}
    better, worse = [0] * len(ordered), [0] * len(ordered)
    for pair in significant:
        above, below = sorted(place[name] for name in pair)
        better[below] += 1
        worse[above] += 1
    return [(1 + more, len(ordered) - less) for more, less in zip(better, worse, strict=True)]


@dataclass(frozen=True)
class Overview:
    """Comparison of methods over several tasks (Demšar 2006, jmlr.org/papers/v7/demsar06a.html).

    Attributes:
        tasks: Names of the tasks, on all of which every method was run.
        mean_rank: Mean rank of each method over the tasks, best first; 1 for a method that is best on every task.
        normalised: Mean score of each method, with the worst method of each task at 0 and the best at 100.
        friedman_p: p-value of Friedman's test that all methods are equal; None for fewer than three methods or two
            tasks.
        critical_difference: Smallest significant difference of two mean ranks by Nemenyi's test; None likewise.
        groups: The largest sets of methods whose mean ranks differ by no more than that, best first.
    """

    tasks: list[str]
    mean_rank: dict[str, float]
    normalised: dict[str, float]
    friedman_p: float | None
    critical_difference: float | None
    groups: list[list[str]]


def rank_over_tasks(sort_scores: Mapping[str, Mapping[str, float]]) -> Overview:
    """Compare methods over tasks.

    Args:
        sort_scores: Scores by task and method, larger ones being better. Every task has the same two or more methods,
            in any order.

    Returns:
        Mean ranks, normalised scores and tests.
    """
    tasks, methods = list(sort_scores), list(next(iter(sort_scores.values())))
    table = np.array([[sort_scores[task][method] for method in methods] for task in tasks])
    each = [average_ranks(-row) for row in table]
    ranks = np.stack(each).mean(axis=0)
    low, span = table.min(axis=1, keepdims=True), np.ptp(table, axis=1, keepdims=True)
    # If all methods have one score, each of them is the best.
    normalised = np.where(span > 0, (table - low) / np.where(span > 0, span, 1), 1.0).mean(axis=0)
    order = [int(index) for index in np.argsort(ranks, kind="stable")]
    mean_rank = {methods[index]: float(ranks[index]) for index in order}
    critical = friedman = None
    if len(methods) > 2 and len(tasks) > 1:
        k = len(methods)
        quantile = range_quantile(1 - ALPHA, k) / 2**0.5
        critical = quantile * (k * (k + 1) / (6 * len(tasks))) ** 0.5
        friedman = _friedman(np.stack(each))
    return Overview(
        tasks,
        mean_rank,
        {methods[index]: 100 * float(normalised[index]) for index in order},
        friedman,
        critical,
        [] if critical is None else _within(mean_rank, critical),
    )


def _friedman(ranks: Floats) -> float:
    """p-value of Friedman's test (1937) on ranks ``[task, method]``, corrected for ties; 1 if all are tied."""
    n_tasks, n_methods = ranks.shape
    counts = [np.unique(row, return_counts=True)[1] for row in ranks]
    ties = sum(float((count**3 - count).sum()) for count in counts)
    untied = 1 - ties / (n_methods * (n_methods**2 - 1) * n_tasks)
    if untied <= 0:
        return 1.0
    squares = float((ranks.sum(axis=0) ** 2).sum())
    statistic = 12 / (n_methods * n_tasks * (n_methods + 1)) * squares - 3 * n_tasks * (n_methods + 1)
    return chi2_tail(statistic / untied, n_methods - 1)


def _within(mean_rank: Mapping[str, float], critical: float) -> list[list[str]]:
    """Largest groups of consecutive methods whose mean ranks differ by no more than ``critical``."""
    names, groups = list(mean_rank), list[list[str]]()
    for index, name in enumerate(names):
        group = [other for other in names[index:] if mean_rank[other] - mean_rank[name] <= critical]
        if not groups or not set(group) <= set(groups[-1]):
            groups.append(group)
    return groups
