"""Distributions: quantiles and tail probabilities of tests, and ranks.

From ``scipy.special``: ``scipy.stats`` takes half a second to import and, for a number at a time, a hundred times as
long as these functions. ``scipy.special`` takes a quarter of a second, and is imported by the first function that needs
it: a check of equal scores, and what the index knows, do without.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
QUARTILES = 1.349
"""Interquartile range of a normal distribution in standard deviations."""


@lru_cache(maxsize=1024)
def t_quantile(probability: float, df: float) -> float:
    """Quantile of Student's t.

    Args:
        probability: Probability of a smaller value.
        df: Degrees of freedom.

    Returns:
        The quantile.
    """
    from scipy import special

    return float(special.stdtrit(df, probability))


def t_tail(value: float, df: float) -> float:
    """Probability that Student's t is larger than a value.

    Args:
        value: The value.
        df: Degrees of freedom.

    Returns:
        The probability.
    """
    from scipy import special

    return float(special.stdtr(df, -value))


def normal_quantile(probability: float) -> float:
    """Quantile of the normal distribution.

    Args:
        probability: Probability of a smaller value. Small ones are exact: write an upper quantile as the negative of a
            lower one.

    Returns:
        The quantile.
    """
    from scipy import special

    return float(special.ndtri(probability))


def sign_test(successes: int, trials: int) -> float:
    """Two-sided p-value of a test of signs, exact.

    Args:
        successes: Number of trials with one of two equally likely ends.
        trials: Number of trials.

    Returns:
        The p-value; 1 without any trial.
    """
    from scipy import special

    return min(1.0, 2 * float(special.bdtr(min(successes, trials - successes), trials, 0.5)))


def chi2_tail(value: float, df: int) -> float:
    """Probability that chi-squared is larger than a value.

    Args:
        value: The value.
        df: Degrees of freedom.

    Returns:
        The probability.
    """
    if value <= 0:
        return 1.0
    # Poisson probabilities of whole numbers of events for even degrees of freedom, of halves for odd ones.
    half, rest = value / 2, df % 2 / 2
    orders = (rest + number for number in range(df // 2))
    terms = (math.exp(order * math.log(half) - half - math.lgamma(order + 1)) for order in orders)
    return math.fsum(terms) + (math.erfc(half**0.5) if rest else 0.0)


def chi2_below(value: float, df: int) -> float:
    """Probability that chi-squared is smaller than a value.

    Args:
        value: The value.
        df: Degrees of freedom.

    Returns:
        The probability.
    """
    from scipy import special

    return float(special.chdtr(df, value))


def chi2_quantile(probability: float, df: int) -> float:
    """Quantile of chi-squared.

    Args:
        probability: Probability of a smaller value.
        df: Degrees of freedom.

    Returns:
        The quantile.
    """
    from scipy import special

    return float(special.chdtri(df, 1 - probability))


@lru_cache(maxsize=128)
def range_quantile(probability: float, groups: int) -> float:
    """Quantile of the range of independent normal values, the studentized range with a known variance.

    Args:
        probability: Probability of a smaller range.
        groups: Number of values.

    Returns:
        The quantile, to some ten digits.
    """
    # The smallest value is at z, and all others are between z and z + range.
    z, step = np.linspace(-9.0, 9.0, 361, retstep=True)
    density, below = np.exp(-z * z / 2) / np.sqrt(2 * np.pi), _normal_below(z)

    def cumulative(reach: float) -> float:
        return groups * float((density * (_normal_below(z + reach) - below) ** (groups - 1)).sum() * step)

    low, high = 0.0, 40.0
    for _ in range(50):  # halves of an interval until floating point has no more digits
        middle = (low + high) / 2
        low, high = (middle, high) if cumulative(middle) < probability else (low, middle)
    return (low + high) / 2


def _normal_below(values: Floats) -> Floats:
    """Probability that a value of the normal distribution is smaller than each of some values, ``[value]``."""
    return np.array([math.erfc(-value / 2**0.5) / 2 for value in values.tolist()])


def average_ranks(values: Floats) -> Floats:
    """Ranks from 1 for the smallest value; equal values share the mean of their ranks.

    Args:
        values: ``[item]``.

    Returns:
        ``[item]``.
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Floats = (last - (counts - 1) / 2)[places]
    return ranks
