"""MeZO: slopes along random directions, steps that keep nothing for a backward pass, and what they learn."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.contracts import Kind
from bench.testing.doubles import tiny_language_model
from bench.testing.driver import adapt
from bench.testing.problems import Problem
from methods.mezo import Mezo, shift, slope
from tests.helpers.answered_texts import given

ALL = {"weights": "all", "lr": 1e-4, "epsilon": 1e-3}
ADAPTERS = {"weights": "adapters", "lr": 0.05}
each_kind_of_weights = pytest.mark.parametrize("config", [ADAPTERS, ALL], ids=["adapters", "all"])


def made(config: dict[str, Any], episode: Problem, **more: Any) -> Mezo:
    return Mezo(Mezo.Config(**config, **more), tiny_language_model(), episode.shape)


@pytest.mark.slow
def test_slopes_along_random_directions_are_the_gradient_on_average() -> None:
    generator = torch.Generator().manual_seed(0)
    curvature, target = torch.randn(4, 6, generator=generator), torch.randn(4, generator=generator)
    parameters = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(4))]

    def loss() -> Tensor:
        return (curvature @ torch.cat(list(parameters)) - target).square().sum()

    loss().backward()
    gradient = torch.cat([parameter.grad for parameter in parameters if parameter.grad is not None])
    found = torch.empty(1000, 6)
    for seed in range(len(found)):
        _, along = slope(parameters, seed, 1e-2, loss)
        direction = [torch.zeros_like(parameter) for parameter in parameters]
        shift(direction, seed, 1.0)
        found[seed] = along * torch.cat(direction)
    error = found.std(dim=0) / len(found) ** 0.5
    assert ((found.mean(dim=0) - gradient).abs() < 4 * error).all()
    # There and back again.
    torch.testing.assert_close(torch.cat(list(parameters)), torch.ones(6), rtol=1e-3, atol=1e-3)


@each_kind_of_weights
def test_a_step_leaves_the_weights_in_place_until_the_optimizer_moves_them_along_its_direction(
    config: dict[str, Any],
) -> None:
    episode = given(Kind.TEXT_CLASSIFICATION)
    method = made(config, episode)
    before = [parameter.detach().clone() for parameter in method.trained()]
    optimizer, schedule = method.optimizer()
    assert schedule is None
    method.loss(episode.support)
    for parameter, start in zip(method.trained(), before, strict=True):
        torch.testing.assert_close(parameter, start, rtol=1e-5, atol=1e-6)
    optimizer.step()
    moves = [parameter.detach() - start for parameter, start in zip(method.trained(), before, strict=True)]
    direction = [torch.zeros_like(start) for start in before]
    shift(direction, method._seed(1), 1.0)
    expected = [-config["lr"] * method._slope * each for each in direction]
    torch.testing.assert_close(moves, expected, rtol=1e-3, atol=1e-5)


@each_kind_of_weights
def test_nothing_is_kept_for_a_backward_pass(config: dict[str, Any]) -> None:
    episode, kept = given(Kind.TEXT_CLASSIFICATION), []
    method = made(config, episode)

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        method.loss(episode.support)
    assert sum(kept) <= 1
    method.loss(episode.support).backward()  # type: ignore[no-untyped-call]
    grads = [parameter.grad for parameter in method.trained() if parameter.grad is not None]
    assert [float(grad.abs().sum()) for grad in grads] == [0.0]


def answered(config: dict[str, Any], episode: Problem) -> Tensor:
    """Scores of the queries after a few steps."""
    method = made(config, episode, steps=10)
    adapt(method, episode.support)
    with torch.no_grad():
        scores = method.predict(episode.query)
    assert isinstance(scores, Tensor)
    return scores


@pytest.mark.slow
@each_kind_of_weights
def test_it_learns_labels_reproducibly_and_leaves_the_backbone_alone(config: dict[str, Any]) -> None:
    backbone = tiny_language_model()
    weights = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    episode = given(Kind.TEXT_CLASSIFICATION)
    method = made(config, episode, steps=100)
    with torch.no_grad():
        start = float(method.batch_loss(episode.support))
    adapt(method, episode.support)
    with torch.no_grad():
        assert float(method.batch_loss(episode.support)) < start
    other = replace(episode, shape=replace(episode.shape, seed=episode.shape.seed + 1))
    first, again, elsewhere = (answered(config, each) for each in (episode, episode, other))
    assert torch.equal(first, again)
    assert not torch.equal(first, elsewhere)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in backbone.state_dict().items())


def test_all_weights_are_trained_as_one_copy_with_its_ties() -> None:
    method = made(ALL, given(Kind.TEXT_CLASSIFICATION))
    network: Any = method.adapted.causal_lm  # type: ignore[attr-defined]
    assert network.get_output_embeddings().weight is network.get_input_embeddings().weight
    frozen: Any = tiny_language_model()
    assert method.trainable_params() == sum(parameter.numel() for parameter in frozen.causal_lm.parameters())
    assert method.state_bytes() == 4 * method.trainable_params()
    assert method.notes["adapted"] == "all weights"


def test_adapters_that_need_gradients_are_refused() -> None:
    with pytest.raises(ValueError, match="variant=adalora allocates its ranks by gradients"):
        Mezo.Config(variant="adalora")
