"""Order of runs by the number of items that they read, so that the first score comes before all items are encoded."""

from collections.abc import Sequence

import numpy as np

from bench.data.episodes import PADDING, Episodes
from bench.runs.plan import PlannedRun

WORTHWHILE = 0.75
"""Largest share of a group's items that its first run may read, to be encoded before the others."""


def n_items(episodes: Sequence[Episodes]) -> int:
    """Number of distinct items of some episodes.

    Args:
        episodes: Episodes of one task.

    Returns:
        Support and query items together.
    """
    return sum(
        len(found) - (PADDING in found)
        for split in ("support", "query")
        for found in [np.unique(np.concatenate([getattr(each, split).ravel() for each in episodes]))]
    )


def waves(runs: Sequence[PlannedRun]) -> list[list[PlannedRun]]:
    """Runs of a group in parts that are encoded one after the other: the run with the fewest items, and the others.

    Args:
        runs: Runs of one group, one at least.

    Returns:
        One part where the others would not wait much longer, or where limits have to be checked together.
    """
    if any(run.spec.budget.limits() or run.reference_id for run in runs):
        return [list(runs)]
    least = min(runs, key=lambda run: n_items([run.episodes])).spec
    # Of its seeds the first in order, whose measured costs the others share.
    key = least.method, least.config, least.shots
    first = next(run for run in runs if (run.spec.method, run.spec.config, run.spec.shots) == key)
    if n_items([first.episodes]) > WORTHWHILE * n_items([run.episodes for run in runs]):
        return [list(runs)]
    return [[first], [run for run in runs if run is not first]]
