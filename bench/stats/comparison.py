"""Result of a paired comparison of two methods, and the number of units that would decide it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.stats.distributions import normal_quantile, t_quantile
from bench.stats.intervals import ALPHA, Interval

POWER = 0.8
"""Power of the comparisons that ``Paired.detectable`` and ``Paired.needed_units`` speak of."""


@dataclass(frozen=True)
class Paired:
    """Paired comparison of two methods on the same units: episodes, or queries if there are too few episodes.

    Attributes:
        a: Score of the first method over all units, in the metric's unit.
        b: Score of the second method.
        difference: a - b.
        interval: 95% interval of the difference.
        p_value: Two-sided p-value of the test.
        least_p: Smallest p-value that the test can have with so few units.
        test: Name of the test.
        unit: Kind of the units.
        n_units: Number of units.
        effect: Matched rank-biserial correlation of the differences (Kerby 2014), from -1 to 1.
        spread: Standard deviation of the difference from one independent unit to another; None where it is unknown.
        n_independent: Number of independent units: as ``n_units``, or the number of seeds where these are clusters.
    """

    a: float
    b: float
    difference: float
    interval: Interval
    p_value: float
    least_p: float
    test: str
    unit: Literal["episodes", "queries"]
    n_units: int
    effect: float
    spread: float | None
    n_independent: int

    def is_significant(self, adjusted_p: float) -> bool:
        """Whether the methods differ, by the test and by the interval.

        Args:
            adjusted_p: The p-value, adjusted for all tests of the family.

        Returns:
            True where both say so.
        """
        return adjusted_p < ALPHA and self.interval.excludes_zero()

    def has_too_few(self, n_tests: int = 1) -> bool:
        """Whether no difference, however large, could be found with so few units.

        Args:
            n_tests: Tests of the family.

        Returns:
            True where the smallest possible p-value is too large.
        """
        return self.least_p * n_tests >= ALPHA

    @property
    def clustered(self) -> bool:
        """Whether seeds are the independent units."""
        return self.n_independent != self.n_units

    @property
    def detectable(self) -> float | None:
        """Smallest difference that such a comparison finds with a power of 80%; None where it is unknown."""
        if self.spread is None or self.n_independent < 3 or self.has_too_few():
            return None
        df = self.n_independent - 1
        quantiles = t_quantile(1 - ALPHA / 2, df) + t_quantile(POWER, df)
        return quantiles * self.spread / float(self.n_independent**0.5)

    def needed_units(self, n_tests: int = 1) -> int | None:
        """Number of independent units with which the present difference would be found with a power of 80%.

        Args:
            n_tests: Tests of the family, by Bonferroni.

        Returns:
            The number, more than there are; None where there is no difference, or its spread is unknown.
        """
        if self.spread is None or abs(self.difference) < 1e-9:
            return None
        alpha = ALPHA / n_tests
        wanted = units_needed(self.spread / abs(self.difference), alpha)
        fewest = 2 if self.clustered else int(np.floor(1 - np.log2(alpha))) + 1
        return max(int(np.ceil(wanted)), fewest, self.n_independent + 1)


def units_needed(ratio: float, alpha: float) -> float:
    """Number of units with which a two-sided test finds a mean with a power of 80%.

    Args:
        ratio: Standard deviation of a unit, divided by the mean.
        alpha: Level of the test.

    Returns:
        The number, not rounded.
    """
    level = -normal_quantile(alpha / 2)
    # The normal distribution's number, and Guenther's correction (1981) for an estimated spread.
    return (level + normal_quantile(POWER)) ** 2 * ratio**2 + level**2 / 2
