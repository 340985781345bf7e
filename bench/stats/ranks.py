"""Ranks: tiers of methods on one task, and mean ranks over tasks."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bench.stats.intervals import ALPHA, Name


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


def over_tasks(sort_scores: Mapping[str, Mapping[str, float]]) -> Overview:
    """sort_scores: by task and method, larger for better; every task has the same methods, 2 at least, in any order."""
    tasks, methods = list(sort_scores), list(next(iter(sort_scores.values())))
    table = np.array([[sort_scores[task][method] for method in methods] for task in tasks])
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
