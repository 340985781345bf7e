"""Relatives of FAAST that learn by forward passes: what their steps are, and that they learn."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.testing.doubles import CosineBackbone
from bench.testing.driver import adapted
from bench.testing.problems import Problem, episodes_of, problem
from methods.forward_forward import ForwardForward
from methods.softmax_memory import SoftmaxOnFeatures
from methods.spsa_probe import SpsaProbe


def nearest_labels(given: Problem) -> Tensor:
    """Labels of the queries; clusters do not overlap, so that the nearest support item has the same."""
    return given.support.labels.gather(1, (given.query.keys @ given.support.keys.mT).argmax(dim=-1))


@pytest.mark.slow
def test_a_perturbation_is_the_gradient_on_average() -> None:
    given = problem(n_episodes=1, n_way=2, n_shot=2, key_dim=3)
    method = SpsaProbe(SpsaProbe.Config(epsilon=1e-3), CosineBackbone(), given.shape)
    found = []
    for _ in range(800):
        method.zero_grad()
        method.loss(given.support).backward()
        assert method.weight.grad is not None
        found.append(method.weight.grad[0].clone())
    weight = torch.zeros(3, 2, requires_grad=True)
    cross_entropy(given.support.keys[0] @ weight, given.support.labels[0]).backward()
    each = torch.stack(found)
    error = each.std(dim=0) / len(found) ** 0.5
    assert ((each.mean(dim=0) - weight.grad).abs() < 4 * error).all()


def test_the_same_seed_gives_the_same_weights_and_another_others() -> None:
    given = problem()
    first, again = (adapted(SpsaProbe, given, steps=20).weight for _ in range(2))
    other = adapted(SpsaProbe, replace(given, shape=replace(given.shape, seed=1)), steps=20).weight
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


@pytest.mark.slow
def test_a_probe_without_gradients_learns_slowly() -> None:
    given = problem(n_shot=5, n_query=20)
    labels = nearest_labels(given)

    def accuracy(steps: int) -> float:
        return float(
            (adapted(SpsaProbe, given, steps=steps).predict(given.query).argmax(dim=-1) == labels).float().mean()
        )

    learnt = accuracy(1000)
    assert accuracy(10) < learnt
    assert learnt > 0.8


def test_no_gradient_passes_between_layers() -> None:
    given = problem()
    method = ForwardForward(ForwardForward.Config(width=16, steps=4), CosineBackbone(), given.shape)
    for step in range(4):
        method.zero_grad()
        method.loss(given.support).backward()
        reached = [weight.grad is not None and bool(weight.grad.any()) for weight in method.weights]
        assert reached == [step < 2, step >= 2]


@pytest.mark.slow
@pytest.mark.parametrize("shuffled", [False, True])
def test_goodness_is_larger_with_the_right_label_and_says_nothing_where_labels_are_shuffled(shuffled: bool) -> None:
    given = problem(n_shot=10, n_query=50, n_episodes=4, seed=2)
    labels = nearest_labels(given)
    if shuffled:
        order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
        given = replace(given, support=replace(given.support, labels=given.support.labels[:, order]))
    method = adapted(ForwardForward, given, width=64, steps=200, lr=0.01)
    right = float((method.predict(given.query).argmax(dim=-1) == labels).float().mean())
    assert (0.1 < right < 0.4) if shuffled else right > 0.9


def hopfield(given: Problem, steps: int) -> Tensor:
    """Values of the last softmax, after updates ``x <- K^T softmax(beta K x)`` of one episode's queries."""
    mask, keys = given.support.mask[0], given.support.keys[0].double()
    keys, values, state = keys[mask], given.support.values[0].double()[mask], given.query.keys[0].double()
    for _ in range(steps - 1):
        state = (20 * state @ keys.mT).softmax(dim=-1) @ keys
    return (20 * state @ keys.mT).softmax(dim=-1) @ values


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_softmax_memory_of_several_steps_is_a_hopfield_network(steps: int) -> None:
    given = episodes_of(problem(n_shot=3, sizes=[12, 9, 12]), slice(1, 2))
    method = adapted(SoftmaxOnFeatures, given, scale=20.0, steps=steps, prior_strength=0.0)
    recalled = method.recall(given.query)[0].double()
    torch.testing.assert_close(recalled, hopfield(given, steps), rtol=1e-4, atol=1e-5)
