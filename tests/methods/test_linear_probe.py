"""The linear probe against scikit-learn's logistic regression."""

from dataclasses import replace

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import pad

from bench.testing.doubles import CosineBackbone
from bench.testing.driver import adapted
from bench.testing.problems import problem
from methods import linear_probe
from methods.linear_probe import LinearProbe, LinearProbeConfig


@pytest.mark.slow
@pytest.mark.parametrize("weight_decay", [1e-1, 1e-3])
def test_converges_to_logistic_regression(weight_decay: float) -> None:
    sizes = [60, 37, 60]
    given = problem(n_shot=15, sizes=sizes)
    method = adapted(LinearProbe, given, steps=1500, weight_decay=weight_decay)
    with torch.no_grad():
        shares = method.predict(given.query).softmax(dim=-1)
    for episode, size in enumerate(sizes):
        mask = given.support.mask[episode]
        classifier = LogisticRegression(C=1 / (weight_decay * size), tol=1e-10, max_iter=10_000)
        classifier.fit(given.support.keys[episode][mask].double(), given.support.labels[episode][mask])
        expected = torch.from_numpy(classifier.predict_proba(given.query.keys[episode].double()))
        torch.testing.assert_close(shares[episode].double(), expected, rtol=0, atol=1e-3)


@pytest.mark.slow
def test_default_steps_come_close_to_the_minimum() -> None:
    given = problem(n_shot=5, key_dim=16)
    losses = []
    for steps in (LinearProbeConfig().steps, 1000):
        method = adapted(LinearProbe, given, steps=steps)
        losses.append(method.loss(given.support).item())
    start = LinearProbe(LinearProbeConfig(), CosineBackbone(), given.shape).loss(given.support).item()
    assert losses[0] - losses[1] < 0.05 * (start - losses[1])


def test_an_episode_without_examples_keeps_equal_scores() -> None:
    given = problem(sizes=[0, 12, 12])
    method = adapted(LinearProbe, given, steps=5)
    assert torch.equal(method.predict(given.query)[0], torch.zeros_like(method.predict(given.query)[0]))


@pytest.mark.slow
def test_more_items_than_dimensions_find_the_same_minimum() -> None:
    given = problem(n_shot=4, key_dim=16)
    wide = replace(
        given,
        support=replace(given.support, keys=pad(given.support.keys, (0, 40))),
        query=replace(given.query, keys=pad(given.query.keys, (0, 40))),
        shape=replace(given.shape, key_dim=56),
    )
    assert given.shape.n_support == 16
    direct, in_span = (adapted(LinearProbe, each, steps=2000, weight_decay=1e-2) for each in (given, wide))
    assert direct.inside.shape[2] == 16
    assert wide.shape.n_support < wide.shape.key_dim
    torch.testing.assert_close(in_span.weight[:, :16], direct.weight, rtol=0, atol=1e-4)
    assert in_span.weight[:, 16:].abs().max() < 1e-6


def test_state_and_trainable_parameters_are_those_of_a_linear_layer() -> None:
    method = adapted(LinearProbe, problem(n_shot=1, key_dim=16), steps=2)
    assert method.trainable_params() == 3 * (16 * 4 + 4)
    assert method.state_bytes() == 4 * method.trainable_params()


def test_blocks_of_many_items_make_the_same_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    given = problem(n_shot=10, sizes=[23, 40, 5], key_dim=8)
    whole = adapted(LinearProbe, given, steps=20)
    monkeypatch.setattr(linear_probe, "BLOCK", 12)
    in_blocks = adapted(LinearProbe, given, steps=20)
    assert in_blocks._rows.shape == (3 * 3, 8, 14)
    torch.testing.assert_close(in_blocks.weight, whole.weight, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(in_blocks.bias, whole.bias, rtol=1e-5, atol=1e-6)
