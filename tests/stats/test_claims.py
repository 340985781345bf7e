"""Promises of docs/claims.md, held by simulations, and the tests against limits by themselves."""

import numpy as np
import pytest
from scipy import stats

from bench.stats.limits import difference_test, ratio_test, spread_test
from tests.stats.calibration import upper
from tests.stats.claim_calibration import CELLS, false_claims, false_verdicts


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_false_verdicts_are_at_most_one_in_twenty(name):
    for count in false_verdicts(name, 400):
        assert upper(count, 400) < 8


@pytest.mark.slow
def test_a_claim_of_many_cells_has_a_false_verdict_at_most_one_time_in_twenty():
    assert upper(false_claims(8, 250), 250) < 9


@pytest.mark.campaign
@pytest.mark.timeout(3600)  # noisy costs are measured in turn many times
@pytest.mark.parametrize("name", CELLS)
def test_false_verdicts_are_at_most_one_in_twenty_more_exactly(name):
    for count in false_verdicts(name, 20_000, seed=1):
        assert upper(count, 20_000) < 5.5


@pytest.mark.campaign
@pytest.mark.parametrize("n_cells", [1, 4, 12])
def test_a_claim_of_many_cells_has_a_false_verdict_at_most_one_time_in_twenty_more_exactly(n_cells):
    assert upper(false_claims(n_cells, 5000, seed=1), 5000) < 6


def test_a_difference_is_tested_against_its_margin_as_by_a_t_test():
    values = np.random.default_rng(0).normal(-0.3, 1, 30)
    found = difference_test(float(values.mean()), float(values.std(ddof=1)), 30, -1)
    assert found.p_value == pytest.approx(stats.ttest_1samp(values, -1).pvalue, rel=1e-6)
    low, high = stats.ttest_1samp(values, 0).confidence_interval()
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high))
    assert found.gap == pytest.approx(values.mean() + 1)
    assert difference_test(0.0, 0.0, 5, -1).p_value == 2**-4  # five units cannot decide
    assert difference_test(0.0, 0.0, 30, -1, least_error=0.7).p_value > 0.05  # nor equal answers to few queries


def test_more_units_are_needed_the_nearer_the_limit_is():
    needed = [difference_test(difference, 3.0, 20, -1).needed_units() for difference in (-0.8, 0.0, 1.0)]
    assert needed == sorted(needed, reverse=True)
    assert needed[1] == pytest.approx(73, abs=2)  # (1.96 + 0.84)^2 3^2 + 1.96^2 / 2
    assert difference_test(-1.0, 3.0, 20, -1).needed_units() is None
    # Equal answers to more queries are known better by their number, not by its root: 2.8 times 200 / n points are 1.
    alike = difference_test(0.0, 0.0, 40, -1, least_error=200 / 40).needed_units()
    assert alike == pytest.approx(562, abs=5)


def test_ratios_and_standard_deviations_have_their_own_scales():
    twice = ratio_test(2.0, 2.2, 10, 1.0)
    assert twice.gap == pytest.approx(np.log(2))
    assert twice.p_value < 1e-6
    assert (twice.interval.low, twice.interval.high) == pytest.approx((2 / 1.1, 2.2))
    assert ratio_test(2.0, 2.0, 6, 2.1).p_value < 1e-6  # equal in all pairs
    values = [1.0, 2.0, 4.0, 7.0]
    found = spread_test(values, 2.0)
    square = 3 * np.var(values, ddof=1) / 4
    assert found.p_value == pytest.approx(2 * stats.chi2(3).sf(square))
    assert found.interval.low == pytest.approx(np.sqrt(3 * np.var(values, ddof=1) / stats.chi2(3).ppf(0.975)))
    assert spread_test([5.0, 5.0], 1.0) is None
    assert spread_test([5.0, 5.0], 1.0, least=0.1).estimate == 0.1
