"""Statistics against scipy's own figures; and calibrated, by what they claim of equal methods and of unequal ones."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from bench.registry import make_metric
from bench.stats.intervals import Interval, mean_interval, seed_effect
from bench.stats.paired import compare_answers, compare_episodes, compare_parts, holm
from bench.stats.ranks import rank_over_tasks, tiers

FAMILIES = 200


def simulated(rng, n_methods, episodes, n_queries, gap=0.0, seed_noise=0.0, n_seeds=3):
    """Accuracies ``[method, episode]`` in % of methods on shared episodes of differing difficulty.

    The first method is better by ``gap`` points than the others. seed_noise: points by which a method's seeds differ.
    """
    difficulty = rng.beta(8, 4, episodes)
    seeds = np.arange(episodes) % n_seeds
    luck = seed_noise / 100 * rng.standard_normal((n_methods, n_seeds))[:, seeds]
    chance = np.clip(difficulty + 0.05 * rng.standard_normal((n_methods, episodes)) + luck, 0, 1)
    chance[0] = np.clip(chance[0] + gap / 100, 0, 1)
    return 100 * rng.binomial(n_queries, chance) / n_queries, seeds.tolist()


def claimed(scores, seeds):
    """The significant pairs, as on the leaderboard."""
    pairs = list(combinations(range(len(scores)), 2))
    made = [compare_episodes(scores[a], scores[b], seeds) for a, b in pairs]
    adjusted = holm([each.p_value for each in made])
    return [pair for pair, each, p in zip(pairs, made, adjusted, strict=True) if each.is_significant(p)]


@pytest.mark.parametrize(("episodes", "n_queries"), [(6, 40), (15, 40), (60, 50), (200, 75)])
def test_of_equal_methods_at_most_one_claim_in_twenty_is_made(episodes, n_queries):
    rng = np.random.default_rng(episodes)
    # Wilcoxon's test goes through all signs of so few.
    families = FAMILIES if episodes > 13 else FAMILIES // 4
    made = [claimed(*simulated(rng, 4, episodes, n_queries)) for _ in range(families)]
    assert sum(map(len, made)) / (6 * families) <= 0.02
    # Holm promises more: no claim at all in 95 of 100 leaderboards, up to the error of this number of simulations.
    assert stats.binomtest(sum(map(bool, made)), families, 0.05, alternative="greater").pvalue > 0.05


def test_methods_whose_seeds_differ_are_claimed_seldom_too():
    rng = np.random.default_rng(0)
    drawn = [simulated(rng, 2, 60, 50, seed_noise=6, n_seeds=10) for _ in range(FAMILIES)]
    assert np.mean([bool(claimed(*each)) for each in drawn]) <= 0.1
    # Without regard to seeds the number would be this high.
    naive = np.mean([stats.wilcoxon(scores[0] - scores[1]).pvalue < 0.05 for scores, _ in drawn])
    assert naive > 0.2


def power(episodes, gap):
    """How often a true gap is claimed."""
    rng = np.random.default_rng(1)
    return np.mean([bool(claimed(*simulated(rng, 2, episodes, 50, gap))) for _ in range(FAMILIES)])


@pytest.mark.parametrize(("episodes", "gap", "least"), [(15, 12.0, 0.8), (60, 6.0, 0.8), (200, 3.0, 0.8)])
def test_power(episodes, gap, least, record_testsuite_property):
    found = power(episodes, gap)
    record_testsuite_property(f"power, {episodes} episodes, {gap} points", found)
    assert found >= least


def test_the_detectable_difference_is_found_four_times_in_five():
    rng = np.random.default_rng(2)
    scores, seeds = simulated(rng, 2, 60, 50)
    gap = compare_episodes(*scores, seeds).detectable
    assert 0.65 <= power(60, gap) <= 0.95


def test_intervals_cover_the_truth():
    rng = np.random.default_rng(3)
    for episodes in (10, 60):
        samples = [100 * rng.beta(8, 4, episodes) for _ in range(400)]
        inside = [
            found.low <= 100 * 8 / 12 <= found.high
            for found in (mean_interval(each, [0] * episodes) for each in samples)
        ]
        assert 0.93 <= np.mean(inside) <= 0.99


def test_an_interval_of_many_values_is_students():
    values = np.random.default_rng(4).normal(70, 5, 600)
    found = mean_interval(values, [0] * 600)
    low, high = stats.t.interval(0.95, 599, values.mean(), stats.sem(values))
    assert (found.low, found.high) == (pytest.approx(low, abs=0.05), pytest.approx(high, abs=0.05))
    assert found == mean_interval(values, [0] * 600)  # the same draws each time
    assert mean_interval(np.full(5, 70.0), [0] * 5) == Interval(70, 70)


def test_seeds_that_differ_widen_an_interval():
    rng = np.random.default_rng(5)
    seeds = np.repeat(range(5), 20).tolist()
    values = rng.normal(0, 1, 100)
    together = values + 3 * np.repeat(rng.standard_normal(5), 20)
    assert seed_effect(values, seeds) == pytest.approx(1, abs=1)
    assert seed_effect(together, seeds) > 20
    wide, narrow = mean_interval(together, seeds), mean_interval(together, [0] * 100)
    assert wide.high - wide.low == pytest.approx((narrow.high - narrow.low) * seed_effect(together, seeds) ** 0.5)
    assert seed_effect(np.ones(4), [0, 0, 1, 1]) == 1
    assert seed_effect(values[:3], [0, 1, 2]) == 1  # an episode each tells nothing of seeds


def test_episodes_are_compared_by_wilcoxons_test():
    rng = np.random.default_rng(6)
    a, b = rng.normal(70, 5, 40), rng.normal(68, 5, 40)
    found = compare_episodes(a, b, [0] * 40)
    assert found.p_value == stats.wilcoxon(np.round(a - b, 9)).pvalue
    assert found.difference == pytest.approx(a.mean() - b.mean())
    assert compare_episodes(b, a, [0] * 40).effect == pytest.approx(-found.effect)
    assert compare_episodes(a, a - 1, [0] * 40).effect == 1


def test_nothing_is_claimed_of_the_same_scores():
    a = np.array([70.0, 80.0, 65.0, 91.0])
    for same in (a, a + 1e-12):
        found = compare_episodes(a, same, [0] * 4)
        assert (found.p_value, found.effect) == (1, 0)
        assert not found.is_significant(found.p_value)


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


def test_texts_are_compared_by_the_paired_bootstrap():
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


def test_equal_texts_are_claimed_to_differ_one_time_in_twenty():
    rng = np.random.default_rng(9)
    false = 0
    for _ in range(FAMILIES):
        hard = rng.normal(3, 0.5, 100)
        a, b = (np.column_stack([100 * (hard + rng.normal(0, 0.1, 100)), np.full(100, 100)]) for _ in range(2))
        found = compared(a, b)
        false += found.is_significant(found.p_value)
    assert false / FAMILIES <= 0.07


def test_holm_is_as_published():
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
