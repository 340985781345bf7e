"""Statistics against scipy's own figures; tests/stats/test_calibration.py has what they claim in simulations."""

import numpy as np
import pytest
from scipy import stats

from bench.registry import make_metric
from bench.stats.intervals import Interval, Scale, mean_interval, mean_of, parts_interval
from bench.stats.paired import compare_answers, compare_episodes, compare_parts, holm
from bench.stats.ranks import rank_over_tasks, rank_ranges, tiers
from tests.stats.calibration import accuracies, power


def test_the_detectable_difference_is_found_four_times_in_five():
    rng = np.random.default_rng(2)
    gap = compare_episodes(*accuracies(rng, 2, 60)[0]).detectable
    assert 65 <= power(60, gap, 200) <= 95


def test_an_interval_is_students_without_bounds():
    values = np.random.default_rng(4).normal(70, 5, 30)
    found = mean_interval(values)
    low, high = stats.t.interval(0.95, 29, values.mean(), stats.sem(values))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert mean_interval(values[:1]) is None
    assert mean_interval(np.full(5, 70.0)) is None  # nothing tells how scores spread


def test_an_interval_between_two_bounds_is_wilsons():
    # Answers themselves, each an episode of one query: the standard error has n - 1 in place of n, and Student's t.
    answers = 100 * np.repeat([1.0, 0.0], [27, 3])
    found = mean_interval(answers, scale=Scale(0, 100), n_queries=30)
    quantile, n = stats.t.ppf(0.975, 29), 29
    roots = np.roots([1 + quantile**2 / n, -(2 * 0.9 + quantile**2 / n), 0.9**2])
    assert sorted(roots) == [pytest.approx(found.low / 100), pytest.approx(found.high / 100)]
    # All right: as one answer of 60 that could have been wrong.
    found = mean_interval(np.full(6, 100.0), scale=Scale(0, 100), n_queries=60)
    assert found.high == 100
    assert found.low == pytest.approx(100 / (1 + stats.t.ppf(0.975, 5) ** 2 / 60))


def test_an_interval_on_the_logarithmic_scale_is_positive_however_wide():
    found = mean_interval(np.array([10.0, 110.0]), scale=Scale(1, np.inf, log=True))
    assert found.low == 1
    assert found.high > 60
    values = np.random.default_rng(4).normal(20, 0.5, 30)
    found = mean_interval(values, scale=Scale(1, np.inf, log=True))
    assert found.low * found.high == pytest.approx(values.mean() ** 2)
    assert found.high == pytest.approx(mean_interval(values).high, rel=1e-3)


def test_clusters_are_the_units_where_there_are_some():
    rng = np.random.default_rng(5)
    seeds = np.repeat(range(5), 20).tolist()
    values = rng.normal(0, 1, 100) + 3 * np.repeat(rng.standard_normal(5), 20)
    means = values.reshape(5, 20).mean(axis=1)
    low, high = stats.t.interval(0.95, 4, means.mean(), stats.sem(means))
    assert mean_interval(values, seeds) == Interval(pytest.approx(low), pytest.approx(high))
    assert mean_of(values, [7] * 100) == mean_of(values)  # one seed does not show how seeds differ


def test_few_episodes_are_compared_by_all_swaps():
    rng = np.random.default_rng(6)
    a, b = rng.normal(70, 5, 8), rng.normal(66, 5, 8)
    found = compare_episodes(a, b)
    exact = stats.permutation_test(
        (a - b,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert found.p_value == pytest.approx(exact.pvalue)
    assert found.least_p == 2 / 2**8
    assert found.difference == pytest.approx(a.mean() - b.mean())
    assert compare_episodes(b, a).effect == pytest.approx(-found.effect)
    assert compare_episodes(a, a - 1).effect == 1
    assert not found.has_too_few()
    assert compare_episodes(a[:5], b[:5]).has_too_few()
    assert found.has_too_few(n_tests=7)


def test_many_episodes_are_compared_by_students_paired_test():
    rng = np.random.default_rng(6)
    a, b = rng.normal(70, 5, 40), rng.normal(68, 5, 40)
    assert compare_episodes(a, b).p_value == pytest.approx(stats.ttest_rel(a, b).pvalue)
    seeds = np.repeat(range(4), 10).tolist()
    means = (a - b).reshape(4, 10).mean(axis=1)
    assert compare_episodes(a, b, seeds).p_value == pytest.approx(stats.ttest_1samp(means, 0).pvalue)


def test_nothing_is_claimed_of_the_same_scores():
    a = np.array([70.0, 80.0, 65.0, 91.0] * 4)
    for n in (4, 8, 16):
        for same in (a[:n], a[:n] + 1e-12):
            found = compare_episodes(a[:n], same)
            assert (found.p_value, found.effect) == (1, 0)
            assert not found.is_significant(found.p_value)
            assert found.needed_units() is None


def test_with_the_units_a_comparison_needs_a_difference_is_found_four_times_in_five():
    rng = np.random.default_rng(2)
    gap = 6.0
    needs = [compare_episodes(*accuracies(rng, 2, 400, gap=gap)[0]).needed_units() for _ in range(5)]
    assert all(need > 400 for need in needs)  # never fewer than there are, which did not tell them apart
    few = compare_episodes(np.array([60.0, 80.0, 70.0]), np.array([55.0, 76.0, 64.0]))
    assert few.needed_units() == 6  # the fewest that can tell at all
    assert few.needed_units(n_tests=6) == 8
    rough = [compare_episodes(*accuracies(rng, 2, 8, gap=gap)[0]) for _ in range(200)]
    typical = int(np.median([each.needed_units() or 0 for each in rough]))
    assert power(typical, gap, 200) >= 60


def test_answers_are_compared_by_mcnemars_exact_test():
    a = np.repeat([1.0, 1.0, 0.0, 0.0], [500, 15, 3, 82])
    b = np.repeat([1.0, 0.0, 1.0, 0.0], [500, 15, 3, 82])
    found = compare_answers(a, b)
    assert found.p_value == pytest.approx(stats.binomtest(3, 18).pvalue)
    assert found.difference == pytest.approx(2.0)
    assert found.interval.low < 2 < found.interval.high
    assert found.is_significant(found.p_value)
    assert compare_answers(a, a).p_value == 1


def test_answers_to_very_many_queries_are_compared_in_no_time():
    rng = np.random.default_rng(7)
    a = (rng.random(60_000) < 0.8).astype(float)
    b = np.where(rng.random(60_000) < 0.02, 1 - a, a)
    found = compare_answers(a, b)
    error = 100 * (a - b).std() / 60_000**0.5
    assert found.interval.high - found.interval.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def compared(a, b):
    """The paired bootstrap of perplexities on the texts of one episode."""
    return compare_parts(a[:, None], b[:, None], np.ones((len(a), 1), dtype=bool), make_metric("perplexity").score)


def test_few_texts_are_compared_by_all_swaps():
    rng = np.random.default_rng(8)
    tokens = rng.integers(50, 150, 8)
    a, b = (np.column_stack([tokens * rng.normal(3, 0.3, 8), tokens]) for _ in range(2))
    score = make_metric("perplexity").score
    differences = []
    for number in range(2**8):
        swapped = np.array([number >> text & 1 for text in range(8)], dtype=bool)[:, None]
        one, other = np.where(swapped, b, a), np.where(swapped, a, b)
        differences.append(score(one.sum(axis=0)) - score(other.sum(axis=0)))
    wanted = np.mean(np.abs(differences) >= abs(differences[0]) - 1e-9)
    assert compared(a, b).p_value == pytest.approx(wanted)


def test_many_texts_are_compared_by_the_jackknife():
    rng = np.random.default_rng(8)
    tokens = rng.integers(50, 150, 200)
    hard = rng.normal(3, 0.5, 200)
    a, b, c = (np.column_stack([tokens * (hard + rng.normal(shift, 0.1, 200)), tokens]) for shift in (0, 0, 0.1))
    assert not compared(a, b).is_significant(compared(a, b).p_value)
    found = compared(a, c)
    assert found.is_significant(found.p_value)
    assert found.difference < 0
    assert found.interval.low < found.difference < found.interval.high < 0
    # What is hard for one is hard for the other: the difference is known better than either.
    assert found.interval.high - found.interval.low < 1.0
    assert compared(a, a).p_value == 1
    alone = parts_interval(a, make_metric("perplexity").score, Scale(1, np.inf, log=True))
    assert alone.high - alone.low > 2.0


def test_holm_is_as_published():
    from statsmodels.stats.multitest import multipletests  # takes seconds, in every process that collects tests

    # Holm's step-down by hand: 4 * 0.01, 3 * 0.02, then no smaller than before it.
    assert holm([0.02, 0.5, 0.01, 0.03]) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm([]) == []
    p_values = np.random.default_rng(6).beta(0.3, 2, 40).round(3)  # some of them tied
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist(), abs=0)


def test_a_tier_ends_where_all_above_differ_from_all_below():
    def apart_from(*pairs):
        return {frozenset(pair) for pair in pairs}

    assert tiers("abc", apart_from("ab", "ac", "bc")) == [1, 2, 3]
    assert tiers("abc", apart_from()) == [1, 1, 1]
    assert tiers("abc", apart_from("ac")) == [1, 1, 1]  # b is as good as either
    assert tiers("abc", apart_from("ac", "bc")) == [1, 1, 2]
    assert tiers("abcd", apart_from("ac", "ad", "bc", "bd")) == [1, 1, 2, 2]
    assert tiers("", apart_from()) == []


def test_ranks_are_those_that_the_tests_leave_open():
    apart = {frozenset(pair) for pair in ("ac", "ad")}
    assert rank_ranges("abcd", apart) == [(1, 2), (1, 4), (2, 4), (2, 4)]
    assert rank_ranges("abc", {frozenset(pair) for pair in ("ab", "ac", "bc")}) == [(1, 1), (2, 2), (3, 3)]
    assert rank_ranges("abc", set()) == [(1, 3)] * 3


def test_over_tasks_is_friedmans_and_nemenyis():
    sort_scores = {
        f"task{number}": {"c": 1.0 + number, "a": 9.0 + number, "b": 8.0 + number - (7.5 if number == 0 else 0)}
        for number in range(10)
    }
    found = rank_over_tasks(sort_scores)
    assert list(found.mean_rank.items()) == [("a", 1.0), ("b", 2.1), ("c", 2.9)]
    table = np.array([list(row.values()) for row in sort_scores.values()])
    assert found.friedman_p == pytest.approx(stats.friedmanchisquare(*table.T).pvalue)
    # Demšar's table 5: q is 2.343 for three methods.
    assert found.critical_difference == pytest.approx(2.343 * (3 * 4 / 60) ** 0.5, abs=1e-3)
    assert found.groups == [["a"], ["b", "c"]]
    assert found.normalised["a"] == 100
    assert found.normalised["b"] == pytest.approx(9 * 100 * 7 / 8 / 10)


def test_over_few_tasks_nothing_is_tested():
    found = rank_over_tasks({"t": {"a": 1.0, "b": 2.0, "c": 2.0}})
    assert (found.friedman_p, found.critical_difference, found.groups) == (None, None, [])
    assert found.mean_rank == {"b": 1.5, "c": 1.5, "a": 3.0}
    assert found.normalised == {"b": 100, "c": 100, "a": 0}
    same = rank_over_tasks({name: {"a": 1.0, "b": 1.0, "c": 1.0} for name in "tu"})
    assert same.friedman_p == 1
    assert same.groups == [["a", "b", "c"]]
    assert same.normalised == {"a": 100, "b": 100, "c": 100}
