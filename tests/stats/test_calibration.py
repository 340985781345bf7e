"""Promises of docs/statistics.md, held by simulations: false claims, coverage and power."""

import numpy as np
import pytest

from tests.stats.calibration import (
    TWO_EQUAL,
    accuracies,
    accuracy_coverage,
    claims,
    false_boards,
    false_claims,
    power,
    text_coverage,
    upper,
)

ITEMS = (6, 8, 13, 20)
TOO_FEW = (2, 3, 4, 5)
MORE_ITEMS = (*range(2, 16), 20, 30, 60)
FEW = 700
"""Repetitions that find a rate of false claims of 6% and more, or a coverage below 92%."""


@pytest.mark.slow
@pytest.mark.parametrize("name", TWO_EQUAL)
def test_two_equal_methods_differ_one_time_in_twenty_at_most(name):
    # 20 sentences take longest; the same test as for 13 stands for them here.
    for n in ITEMS[:3] if name.startswith("BLEU") else ITEMS:
        repetitions = FEW if not name.startswith("BLEU") else 400 if n < 12 else 1500
        assert upper(false_claims(name, n, repetitions), repetitions) < 8, n
    for n in TOO_FEW:
        assert TWO_EQUAL[name](np.random.default_rng(n), n).has_too_few()
        assert false_claims(name, n, 50) == 0  # none is possible


# Thousands of repetitions, and the cases between those above, take minutes in all; `make faults` and `make calibration`
# make them.
@pytest.mark.campaign
@pytest.mark.parametrize("name", TWO_EQUAL)
def test_two_equal_methods_differ_one_time_in_twenty_at_most_more_exactly(name):
    for n in MORE_ITEMS:
        assert upper(false_claims(name, n, 4000, seed=1), 4000) < 6.5, n


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [2, 3, 10])
@pytest.mark.parametrize("seed_spread", [0.0, 0.3])
def test_seeds_that_differ_make_no_claims(n_seeds, seed_spread):
    assert upper(false_boards(2, n_seeds, seed_spread, 500), 500) < 8.5
    assert upper(false_boards(4, n_seeds, seed_spread, 300), 300) < 8.5


@pytest.mark.campaign
@pytest.mark.parametrize("n_seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("seed_spread", [0.0, 0.1, 0.3])
def test_seeds_that_differ_make_no_claims_more_exactly(n_seeds, seed_spread):
    for n_methods in (2, 4):
        assert upper(false_boards(n_methods, n_seeds, seed_spread, 3000), 3000) < 7


def test_without_an_eye_on_seeds_the_same_simulation_makes_many_claims():
    rng = np.random.default_rng(0)
    boards = [accuracies(rng, 4, 20, 3, 0.3)[0] for _ in range(100)]
    assert np.mean([bool(claims(scores, None)) for scores in boards]) > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("n_episodes", [8, 15, 200])
def test_boards_of_four_equal_methods_make_a_claim_one_time_in_twenty_at_most(n_episodes):
    assert upper(false_boards(4, 1, 0.0, 400, n_episodes), 400) < 8


@pytest.mark.campaign
@pytest.mark.parametrize("n_episodes", [6, 8, 15, 60, 200])
def test_boards_of_four_equal_methods_make_a_claim_one_time_in_twenty_at_most_more_exactly(n_episodes):
    assert upper(false_boards(4, 1, 0.0, 3000, n_episodes), 3000) < 7


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.5, 0.7, 0.9, 0.95])
@pytest.mark.parametrize("n_episodes", [6, 20, 60])
def test_intervals_of_accuracies_cover_the_truth(n_episodes, level):
    assert 93 <= accuracy_coverage(n_episodes, level, FEW) <= 97.5


@pytest.mark.slow
@pytest.mark.parametrize(("n_episodes", "most"), [(6, 99), (10, 98), (20, 97.5), (60, 97)])
def test_intervals_of_nearly_perfect_accuracies_cover_the_truth(n_episodes, most):
    # Three wrong answers in 300: one more or less is a step of a third, and the wide side is taken.
    assert 93 <= accuracy_coverage(n_episodes, 0.99, FEW) <= most


@pytest.mark.slow
@pytest.mark.parametrize("seed_spread", [0.0, 0.1, 0.3])
def test_intervals_of_three_seeds_cover_the_truth(seed_spread):
    assert 93 <= accuracy_coverage(20, 0.7, FEW, n_seeds=3, seed_spread=seed_spread) <= 97.5


@pytest.mark.slow
@pytest.mark.parametrize("n_texts", [3, 12, 60])
def test_intervals_over_texts_cover_the_truth(n_texts):
    assert 93 <= text_coverage("perplexity", n_texts, FEW) <= 97.5
    assert 91.5 <= text_coverage("BLEU", n_texts, 300) <= 97.5


@pytest.mark.campaign
@pytest.mark.parametrize("n_texts", [6, 8, 12, 20, 60])
def test_intervals_over_texts_cover_the_truth_more_exactly(n_texts):
    for name in ("perplexity", "BLEU"):
        assert 92.5 <= text_coverage(name, n_texts, 4000) <= 97


@pytest.mark.slow
@pytest.mark.parametrize(("n_episodes", "gap"), [(15, 12.0), (60, 6.0), (201, 3.0)])
def test_differences_are_found(n_episodes, gap):
    assert power(n_episodes, gap, 200) >= 90
    # With three seeds as the units less is found, and not nothing.
    assert power(n_episodes, gap, 200, n_seeds=3, shared=True) >= 40
