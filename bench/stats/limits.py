"""Tests of an estimate against a limit in both directions: differences, ratios of costs, standard deviations.

A claim says that an estimate lies on one side of a limit. One two-sided test at the level ALPHA serves both answers:
each wrong one has a probability of at most ALPHA / 2. docs/claims.md has the calibration.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.stats.comparison import units_needed
from bench.stats.distributions import chi2_below, chi2_quantile, chi2_tail, t_quantile, t_tail
from bench.stats.intervals import ALPHA, Interval
from bench.stats.paired import least_p

LEAST_RATIO_ERROR = 0.001
"""Smallest standard error of a logarithm of a ratio of costs, which no meter knows better than one in a thousand."""
FLIPPED = 2
"""Answers that could have been others: the least standard error of a difference of bounded scores is theirs."""


@dataclass(frozen=True)
class LimitTest:
    """Test of an estimate against a limit.

    Attributes:
        estimate: The estimate.
        interval: Its 95% interval.
        gap: Distance from the limit to the estimate on the scale of the test, positive above the limit.
        p_value: Two-sided p-value of the hypothesis that the estimate's true value is the limit.
        spread: Standard deviation of one unit on the scale of the test.
        n_units: Number of independent units.
        fewest: Whether a p-value is at least that of a test of signs, so that few units can decide nothing.
        least: Standard error that does not come from the spread, times the number of units.
    """

    estimate: float
    interval: Interval
    gap: float
    p_value: float
    spread: float
    n_units: int
    fewest: bool = False
    least: float = 0.0

    def needed_units(self, n_tests: int = 1) -> int | None:
        """Number of independent units with which the present estimate would be decided with a power of 80%.

        Args:
            n_tests: Tests of the family, by Bonferroni.

        Returns:
            The number, more than there are; None where the estimate is at the limit.
        """
        if abs(self.gap) < 1e-9:
            return None
        alpha = ALPHA / n_tests
        fewest = int(np.floor(1 - np.log2(alpha))) + 1 if self.fewest else 2
        correction = units_needed(0.0, alpha)
        factor = units_needed(1.0, alpha) - correction
        # The variance of the mean of n units is spread^2 / n + (least / n)^2.
        spread, least = (factor * (value / self.gap) ** 2 for value in (self.spread, self.least))
        wanted = (spread + (spread**2 + 4 * least) ** 0.5) / 2 + correction
        return max(int(np.ceil(wanted)), fewest, self.n_units + 1)


def difference_test(
    difference: float, spread: float, n_units: int, limit: float, least_error: float = 0.0, clustered: bool = False
) -> LimitTest:
    """Test a mean paired difference against a limit by Student's t.

    Args:
        difference: The mean difference over units.
        spread: Standard deviation of the difference from one independent unit to another.
        n_units: Number of independent units, two or more.
        limit: The limit, such as minus a margin of non-inferiority.
        least_error: Standard error that is added to that of the spread: rare answers that differ show themselves in no
            spread. See FLIPPED.
        clustered: Whether units are seeds; a p-value of other units is not below that of a test of signs.

    Returns:
        The test.
    """
    error = float(np.hypot(spread / n_units**0.5, least_error))
    gap, df = difference - limit, n_units - 1
    if error <= 1e-12 * max(1.0, abs(difference)):
        p_value = least_p(n_units) if abs(gap) > 1e-9 else 1.0
    else:
        p_value = 2 * t_tail(abs(gap) / error, df)
    if not clustered:
        p_value = max(p_value, least_p(n_units))
    reach = t_quantile(1 - ALPHA / 2, df) * error
    interval = Interval(difference - reach, difference + reach)
    return LimitTest(difference, interval, gap, p_value, spread, n_units, not clustered, least_error * n_units)


def ratio_test(ratio: float, high: float, n_pairs: int, limit: float) -> LimitTest:
    """Test a ratio of costs against a limit by Student's t on logarithms of paired ratios.

    Args:
        ratio: Geometric mean of the paired ratios.
        high: Upper end of its 95% interval by Student's t on logarithms.
        n_pairs: Number of pairs, two or more.
        limit: The limit.

    Returns:
        The test.
    """
    quantile = t_quantile(1 - ALPHA / 2, n_pairs - 1)
    error = max(float(np.log(high / ratio)) / quantile, LEAST_RATIO_ERROR)
    gap = float(np.log(ratio / limit))
    factor = float(np.exp(quantile * error))
    p_value = 2 * t_tail(abs(gap) / error, n_pairs - 1)
    return LimitTest(ratio, Interval(ratio / factor, ratio * factor), gap, p_value, error * n_pairs**0.5, n_pairs)


def spread_test(values: Sequence[float], limit: float, least: float = 0.0) -> LimitTest | None:
    """Test a standard deviation against a limit by the chi-squared distribution of its square.

    Args:
        values: Two values or more, means of many items each.
        limit: The limit.
        least: Smallest standard deviation that the values could show.

    Returns:
        The test; None where all values are equal and nothing says how finely they could differ.
    """
    df = len(values) - 1
    spread = max(float(np.std(values, ddof=1)), least)
    if spread <= 0:
        return None
    square = df * (spread / limit) ** 2
    p_value = min(1.0, 2 * min(chi2_below(square, df), chi2_tail(square, df)))
    ends = [spread * (df / chi2_quantile(probability, df)) ** 0.5 for probability in (1 - ALPHA / 2, ALPHA / 2)]
    # The logarithm of a standard deviation of n values has itself one of about 1 / sqrt(2 n).
    return LimitTest(spread, Interval(*ends), float(np.log(spread / limit)), p_value, 0.5**0.5, len(values))
