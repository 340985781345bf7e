"""Scores against scikit-learn, intervals against their formulas written out."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score

from bench.contracts import NumericalError
from bench.metrics._scores import right_answers, summarise


def test_accuracy_is_scikit_learns():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((7, 40, 5))
    labels = rng.integers(5, size=(7, 40))
    found = 100 * right_answers(torch.from_numpy(scores), torch.from_numpy(labels)).double().mean(dim=-1)
    wanted = [100 * accuracy_score(label, score.argmax(-1)) for label, score in zip(labels, scores, strict=True)]
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12)


def test_what_stands_in_padding_is_never_right():
    scores = torch.eye(3).repeat(2, 1, 1)  # answers 0, 1, 2
    labels = torch.tensor([[0, 1, -1], [0, 2, 2]])
    scores[0, 2] = torch.nan  # nobody reads what stands in padding
    assert right_answers(scores, labels).tolist() == [[True, True, False], [True, False, True]]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_scores_that_are_not_finite_are_refused_and_counted(bad):
    scores = torch.zeros(2, 3, 4)
    scores[1, 2, 0] = bad
    labels = torch.tensor([[0, 0, 0], [0, -1, 0]])
    with pytest.raises(NumericalError, match="got 1 of 5 queries with NaN or infinity"):
        right_answers(scores, labels)


def test_several_episodes_have_students_interval():
    scores = [50.0, 60.0, 70.0, 80.0]
    found = summarise(scores, n_queries=400)
    # t(0.975, 3 degrees of freedom) from a printed table; the standard error is std / sqrt(4).
    assert found.value == 65.0
    assert found.ci95 == pytest.approx(3.182446 * np.std(scores, ddof=1) / 2, rel=1e-6)


def test_many_episodes_have_the_usual_interval():
    scores = list(np.random.default_rng(0).uniform(40, 60, 600))
    usual = 1.96 * np.std(scores, ddof=1) / 600**0.5
    assert summarise(scores, n_queries=60_000).ci95 == pytest.approx(usual, rel=0.003)


@given(st.data())
def test_one_episode_has_wilsons_interval(data):
    n = data.draw(st.integers(1, 5000))
    right = data.draw(st.integers(0, n))
    found = summarise([100 * right / n], n_queries=n)
    z, p = 1.959963984540054, right / n
    half = z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    assert found.value == pytest.approx(100 * p)
    assert found.ci95 == pytest.approx(100 * half, rel=1e-6, abs=1e-9)
    assert found.ci95 > 0  # all right out of n is no certainty


def test_students_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        scores = 100 * rng.binomial(40, 0.7, size=8) / 40
        found = summarise(list(scores), n_queries=320)
        hits += abs(found.value - 70) <= found.ci95
    assert 930 <= hits <= 970
