"""By how much a cost may grow before it is a regression: learnt from how it spread when it was recorded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bench.results.record import Record
from bench.spec.costs import Costs, StageCosts


@dataclass(frozen=True)
class Axis:
    """A cost that is checked.

    least_ratio: growth that is never a regression, whatever the spread; least_change: likewise, in the cost's unit.
    once: the least ratio of what was measured once for all seeds: how it differs between processes is not recorded.
    stage: whose repeats tell how the cost spreads, for costs that have repeats.
    """

    name: str
    unit: str
    value: Callable[[Costs], float]
    least_ratio: float
    least_change: float
    once: float
    stage: Callable[[Costs], StageCosts] | None = None


AXES = (
    Axis("encode", "s", lambda costs: costs.encode.seconds, 0.1, 0.001, 0.3, lambda costs: costs.encode),
    Axis("adapt", "s", lambda costs: costs.adapt.seconds, 0.1, 0.001, 0.3, lambda costs: costs.adapt),
    Axis("query", "s", lambda costs: costs.query.seconds, 0.1, 0.001, 0.3, lambda costs: costs.query),
    Axis("peak memory", "MB", lambda costs: costs.peak_memory_mb, 0.1, 2.0, 0.3),
    Axis("state", "MB", lambda costs: costs.state_mb, 0.05, 0.01, 0.05),
)
"""Times below a millisecond and memory below some pages are noise of the system more than of the code."""
FALSE_ALARMS = 0.01
"""Share of checks of unchanged code that may find a slower run, over all rows and axes together."""
_MEDIAN = 1.2533
"""Standard error of a median in those of a mean."""
_QUARTILES = 1.349
"""Interquartile range of a normal distribution in standard deviations."""


@dataclass(frozen=True)
class Sample:
    """A cost as the records of one row have it.

    mean: geometric, in the axis's unit. spread: relative standard deviation from one measurement to another, each of
    which is a median of repeats. n: measurements; seeds that were charged the same one count once.
    """

    mean: float
    spread: float
    n: int


def sample(records: Sequence[Record], axis: Axis) -> Sample | None:
    """What the records of a row say of a cost; None where it was not measured or is 0."""
    costs = [record.costs for record in records if record.costs is not None]
    values = sorted({axis.value(each) for each in costs})
    if not values or values[0] <= 0:
        return None
    between = float(np.log(values).std(ddof=1)) if len(values) > 1 else 0.0
    stages = [axis.stage(each) for each in costs] if axis.stage else []
    within = [
        stage.seconds_spread / stage.seconds / _QUARTILES * _MEDIAN / max(1, cost.repeats) ** 0.5
        for stage, cost in zip(stages, costs, strict=False)
        if stage.seconds > 0
    ]
    return Sample(float(stats.gmean(values)), max(between, float(np.median(within or [0.0]))), len(values))


def usual_spread(samples: Sequence[Sample]) -> float:
    """The median spread of an axis over rows: no row is taken to be steadier than that for its few measurements."""
    return float(np.median([each.spread for each in samples])) if samples else 0.0


def allowed_ratio(axis: Axis, before: Sample, after: Sample, usual: float, n_checks: int) -> float:
    """The largest ratio of means, after to before, that is no regression; above 1.

    n_checks: how many costs are checked together; the more, the wider (Bonferroni).
    """
    variance = sum(max(each.spread, usual) ** 2 / each.n for each in (before, after))
    noise = float(stats.norm.isf(FALSE_ALARMS / max(1, n_checks))) * variance**0.5
    least = axis.least_ratio if min(before.n, after.n) > 1 else axis.once
    return max(1 + least, float(np.exp(noise)), 1 + axis.least_change / before.mean)
