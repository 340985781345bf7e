"""Paired tests of many pairs of methods at once, each equal to that of ``bench.stats.paired`` for the pair alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.stats.distributions import t_quantile
from bench.stats.intervals import ALPHA, Floats
from bench.stats.paired import EXACT_UNITS, least_p, swaps

Places = NDArray[np.intp]
Flags = NDArray[np.bool_]

_AT_ONCE = 2**21
"""Numbers of a table in memory at once."""


@dataclass(frozen=True)
class Tests:
    """Tests of pairs of methods.

    Attributes:
        p_values: ``[pair]``, two-sided.
        excludes_zero: ``[pair]``, whether both ends of the difference's 95% interval are on one side of zero.
        least_p: ``[pair]``, smallest p-value that each test can have with so few units.
    """

    p_values: Floats
    excludes_zero: Flags
    least_p: Floats


def unit_tests(scores: Floats, first: Places, second: Places, clusters: Sequence[int] | None = None) -> Tests:
    """Compare mean scores on the same units, as ``compare_episodes`` and ``compare_shares`` do.

    Args:
        scores: ``[method, unit]``, with two units or more.
        first: ``[pair]``, the first method of each pair.
        second: ``[pair]``, the second one.
        clusters: ``[unit]``, cluster of each unit; None where units are independent.

    Returns:
        The tests.
    """
    found = Tests(np.ones(len(first)), np.zeros(len(first), dtype=bool), np.zeros(len(first)))
    for part in _parts(len(first), scores.shape[1]):
        _test_units(scores[first[part]] - scores[second[part]], clusters, found, part)
    return found


def answer_tests(right: Floats, first: Places, second: Places) -> Tests:
    """Compare accuracies on the same queries by McNemar's exact test, as ``compare_answers`` does.

    Args:
        right: ``[method, query]``, 1 for each correct answer and 0 for each wrong one.
        first: ``[pair]``, the first method of each pair.
        second: ``[pair]``, the second one.

    Returns:
        The tests.
    """
    from scipy import special  # as in bench.stats.distributions, by the first test that needs it

    n, counts = right.shape[1], right.sum(axis=1)
    both = (right @ right.T)[first, second]  # sums of ones are exact in any order
    only_a, only_b = counts[first] - both, counts[second] - both
    changed, more = only_a + only_b, only_a - only_b
    errors = 100 * np.sqrt((changed * n - more**2) / (n - 1)) / n
    fewer = np.minimum(only_a, only_b)
    p_values = np.minimum(1.0, 2 * special.bdtr(fewer, changed.astype(np.int64), 0.5))
    excludes = _excludes_zero(100 * more / n, errors, n - 1)
    return Tests(p_values, excludes, np.full(len(first), least_p(n)))


def _parts(n_pairs: int, n_units: int) -> Iterator[slice]:
    """Slices of pairs whose tables fit into memory together."""
    size = max(1, _AT_ONCE // max(1, n_units))
    yield from (slice(start, start + size) for start in range(0, n_pairs, size))


def _test_units(differences: Floats, clusters: Sequence[int] | None, found: Tests, part: slice) -> None:
    """Test pairs by their differences ``[pair, unit]``, and write the results to their part of all tests."""
    from scipy import special

    differences = np.round(differences, 9)  # rounding errors are no differences
    n = differences.shape[1]
    values, errors, n_units = _means(differences, clusters)
    small = errors <= 1e-12 * np.maximum(1.0, np.abs(values))
    with np.errstate(divide="ignore", invalid="ignore"):
        p_values = 2 * special.stdtr(n_units - 1, -(np.abs(values) / errors))
    p_values = np.where(small, np.where(np.abs(values) > 1e-9, least_p(n_units), 1.0), p_values)
    least = np.zeros(len(values))
    if n_units == n:
        n_changed = (differences != 0).sum(axis=1)
        for number in np.unique(n_changed[n_changed <= EXACT_UNITS]):
            pairs = np.flatnonzero(n_changed == number)
            own = differences[pairs]
            p_values[pairs] = _swap_p(own[own != 0].reshape(len(pairs), number), values[pairs], n)
            least[pairs] = least_p(n)
    found.p_values[part], found.least_p[part] = p_values, least
    found.excludes_zero[part] = _excludes_zero(values, errors, n_units - 1)


def _means(differences: Floats, clusters: Sequence[int] | None) -> tuple[Floats, Floats, int]:
    """Mean and standard error of each row, and the number of independent units, as ``mean_of`` has them."""
    values, n = differences.mean(axis=1), differences.shape[1]
    names, members = np.unique(clusters, return_inverse=True) if clusters is not None else (np.empty(0), np.empty(0))
    if len(names) < 2:
        return values, differences.std(axis=1, ddof=1) / n**0.5, n
    deviations = np.zeros((len(differences), len(names)))
    for unit, cluster in enumerate(members):  # in the order in which numpy.bincount adds
        deviations[:, cluster] += differences[:, unit] - values
    n_units = len(names)
    return values, np.sqrt(n_units / (n_units - 1) * (deviations**2).sum(axis=1)) / n, n_units


def _swap_p(changed: Floats, values: Floats, n: int) -> Floats:
    """Shares of all swaps with a mean difference at least as large; changed: ``[pair, unit]``, none of them 0."""
    signs = (1 - 2 * swaps(changed.shape[1])).T
    least = np.abs(values) - 1e-9 * np.maximum(1.0, np.abs(values))
    found = np.empty(len(changed))
    for part in _parts(len(changed), signs.shape[1]):
        found[part] = (np.abs(changed[part] @ signs / n) >= least[part, None]).mean(axis=1)
    return found


def _excludes_zero(values: Floats, errors: Floats, df: int) -> Flags:
    """Whether Student's intervals of means are on one side of zero; without any spread, whether the mean is."""
    reach = np.where(errors <= 1e-12 * np.maximum(1.0, np.abs(values)), 0.0, t_quantile(1 - ALPHA / 2, df) * errors)
    return np.asarray((values - reach > 0) | (values + reach < 0))
