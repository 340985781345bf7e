"""Tolerances of cost checks, estimated from the recorded spread of the costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from bench.results.record import Record
from bench.spec.axes import AXES, Axis
from bench.stats.distributions import QUARTILES

CHECKED = {axis: axis.check for axis in AXES if axis.check is not None}
"""The axes that are checked, with their rules."""
BLIND = 2.0
"""Ratio above which a tolerance that comes from the spread of measurements is useless."""
_LARGEST = 100.0
"""Logarithm of the largest ratio: the exponential of more has no number."""
FALSE_ALARMS = 0.01
"""Share of checks of unchanged code that may find a slower run, over all rows and axes together."""
_MEDIAN = 1.2533
"""Standard error of a median in those of a mean."""


@dataclass(frozen=True)
class Sample:
    """A cost in the records of one row.

    Attributes:
        mean: Geometric mean, in the axis's unit.
        spread: Relative standard deviation between measurements, each of which is a median of repeats.
        n: Number of measurements; seeds with one and the same value count once.
    """

    mean: float
    spread: float
    n: int


def sample(records: Sequence[Record], axis: Axis) -> Sample | None:
    """A cost in the records of a row.

    Args:
        records: Records of the row.
        axis: Axis of the cost.

    Returns:
        The sample; None where the cost was not measured or is 0.
    """
    costs = [record.costs for record in records if record.costs is not None]
    values = sorted({value for each in costs if (value := axis.of_costs(each)) is not None})
    if not values or values[0] <= 0:
        return None
    between = float(np.log(values).std(ddof=1)) if len(values) > 1 else 0.0
    stage_of = CHECKED[axis].stage
    stages = [stage_of(each) for each in costs] if stage_of else []
    within = [
        stage.seconds_spread / stage.seconds / QUARTILES * _MEDIAN / max(1, cost.repeats) ** 0.5
        for stage, cost in zip(stages, costs, strict=False)
        if stage.seconds > 0
    ]
    return Sample(float(np.exp(np.log(values).mean())), max(between, float(np.median(within or [0.0]))), len(values))


def usual_spread(samples: Sequence[Sample]) -> float:
    """Median spread of an axis over rows, the least spread of any row: few measurements underestimate it.

    Args:
        samples: Samples of all rows.

    Returns:
        Relative standard deviation.
    """
    return float(np.median([each.spread for each in samples])) if samples else 0.0


@dataclass(frozen=True)
class Tolerance:
    """The growth of a cost that is no regression.

    Attributes:
        ratio: The largest ratio of means, after to before; above 1.
        limit: What it comes from: the axis's rule, the spread of the measurements, or a size that is noise of the
            system.
        text: The tolerance in words.
    """

    ratio: float
    limit: Literal["rule", "spread", "size"]
    text: str

    @property
    def is_blind(self) -> bool:
        """Whether the spread hides twice the cost, so that the check is useless."""
        return self.limit == "spread" and self.ratio > BLIND


def tolerance(axis: Axis, before: Sample, after: Sample, usual: float, n_checks: int) -> Tolerance:
    """The largest ratio of means, after to before, that is no regression.

    Args:
        axis: Axis of the cost.
        before: Sample of the baseline.
        after: Present sample.
        usual: Least spread, from ``usual_spread``.
        n_checks: Number of costs that are checked together; more of them widen the tolerance (Bonferroni).

    Returns:
        The tolerance.
    """
    variance = sum(max(each.spread, usual) ** 2 / each.n for each in (before, after))
    # Equal to ``normal_quantile`` in 15 digits, and without scipy, which a check of equal scores has no other need of.
    noise = -NormalDist().inv_cdf(FALSE_ALARMS / max(1, n_checks)) * variance**0.5
    rule = CHECKED[axis]
    least = rule.least_ratio if min(before.n, after.n) > 1 else rule.once
    by_size = 1 + rule.least_change / before.mean
    ratio = max(1 + least, float(np.exp(min(noise, _LARGEST))), by_size)
    if ratio == by_size:
        return Tolerance(ratio, "size", f"up to {rule.least_change:g} {axis.unit} more is no regression")
    if ratio == 1 + least or ratio <= BLIND:
        return Tolerance(ratio, "rule" if ratio == 1 + least else "spread", f"up to {ratio:.2f} is no regression")
    text = f"blind: the measurements spread too widely to tell {BLIND:g} times the cost; measure more seeds, alone"
    return Tolerance(ratio, "spread", text)
