"""Distributions against scipy.stats, which takes longer to import than a table takes to print."""

import numpy as np
import pytest
from scipy import stats

from bench.stats import distributions
from bench.stats.ranks import rank_over_tasks


def test_quantiles_and_tails_are_those_of_scipy():
    for df in (1, 2, 7, 99, 4999):
        for p in (0.025, 0.5, 0.8, 0.975):
            assert distributions.t_quantile(p, df) == stats.t.ppf(p, df)
        for value in (0.0, 0.3, 2.5, 40.0):
            assert distributions.t_tail(value, df) == stats.t.sf(value, df)
            assert distributions.chi2_tail(value, df) == pytest.approx(stats.chi2.sf(value, df), rel=1e-12)
    for p in (1e-12, 0.0125, 0.5, 0.8):
        assert distributions.normal_quantile(p) == stats.norm.ppf(p)
        assert -distributions.normal_quantile(p) == pytest.approx(stats.norm.isf(p), rel=1e-15)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (0, 1), (3, 6), (2, 9), (9, 9), (40, 1000)])
def test_the_test_of_signs_is_exact(successes, trials):
    expected = stats.binomtest(successes, trials).pvalue if trials else 1.0
    assert distributions.sign_test(successes, trials) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("groups", [2, 3, 10])
def test_the_range_of_normal_values_is_the_studentized_range_of_a_known_variance(groups):
    expected = stats.studentized_range.ppf(0.95, groups, np.inf)
    assert distributions.range_quantile(0.95, groups) == pytest.approx(expected, rel=1e-11)


def test_ranks_and_friedmans_test_with_ties_are_those_of_scipy():
    table = np.array([[1.0, 3, 3, 2], [5, 5, 5, 1], [2, 4, 9, 3], [0, 1, 1, 0]])
    for row in table:
        assert distributions.average_ranks(row).tolist() == stats.rankdata(row).tolist()
    found = rank_over_tasks({str(task): dict(zip("abcd", row, strict=True)) for task, row in enumerate(table)})
    assert found.friedman_p == pytest.approx(stats.friedmanchisquare(*table.T).pvalue, rel=1e-12)
    assert rank_over_tasks({task: dict.fromkeys("abc", 1.0) for task in "tu"}).friedman_p == 1
