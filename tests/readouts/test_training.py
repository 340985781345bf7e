"""What a training step computes, and what its gradient reaches."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.backbones.hf import CausalLM
from bench.readouts.recipe import Recipe, warmup_steps
from bench.readouts.training import ReadoutTraining, batch_weights
from bench.toolkit.hooks import gated_values
from bench.toolkit.readout_files import Readout, write_readouts
from tests.helpers.readouts import WIDTH, method_with, model_folder, some_windows

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["gpt2", "llama", "qwen2"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(model_folder(tmp_path_factory.mktemp(request.param), request.param))


def module(backbone: CausalLM, **changes: Any) -> ReadoutTraining:
    fields: dict[str, Any] = {"steps": 30, "window": 32, "learning_rate": 1e-2, "warmup": 3, **changes}
    return ReadoutTraining(backbone.eval(), Recipe(**fields))


def randomised(training: ReadoutTraining) -> ReadoutTraining:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in [*training.scorers, *training.outs]:
            parameter.normal_(std=0.1)
    return training


def test_gradients_reach_readouts_and_scorers_and_nothing_else(backbone: CausalLM) -> None:
    training = randomised(module(backbone))
    training.training_step(some_windows(backbone)[:4]).backward()  # type: ignore[no-untyped-call]
    for parameter in [*training.scorers, *training.outs]:
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in backbone.parameters())
    trainable = {name for name, parameter in training.named_parameters() if parameter.requires_grad}
    assert trainable == {"scorers.0", "scorers.1", "outs.0", "outs.1"}


@pytest.mark.parametrize("n_pairs", [20, 100])
def test_the_gradient_through_the_solve_is_exact(n_pairs: int) -> None:
    generator = torch.Generator().manual_seed(0)
    keys = torch.randn(n_pairs, WIDTH, generator=generator, dtype=torch.float64)
    values = torch.randn(n_pairs, WIDTH, generator=generator, dtype=torch.float64)
    scorer = torch.randn(1, 2 * WIDTH, generator=generator, dtype=torch.float64).div(8).requires_grad_()
    probe = torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64)

    def reference(scorer: Tensor) -> Tensor:
        inverse = torch.linalg.pinv(keys, atol=0.0, rtol=1 / n_pairs)
        return gated_values(keys, values, scorer).mT @ inverse.mT

    (weights,) = batch_weights(keys[None], gated_values(keys, values, scorer)[None], alpha=1.0)
    torch.testing.assert_close(weights.double(), reference(scorer), rtol=1e-5, atol=1e-6)
    (found,) = torch.autograd.grad((weights * probe).sum(), scorer)
    (expected,) = torch.autograd.grad((reference(scorer) * probe).sum(), scorer)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_first_loss_is_the_backbones_own(backbone: CausalLM) -> None:
    training = module(backbone)
    ids = some_windows(backbone)[:4]
    with torch.no_grad():
        own = backbone.causal_lm(input_ids=ids, labels=ids).loss
    torch.testing.assert_close(training.training_step(ids).detach(), own)


def test_training_attaches_what_the_method_attaches(backbone: CausalLM, tmp_path: Path) -> None:
    """Without dropout, training and FAAST on hidden states put the same states through the model."""
    training = randomised(module(backbone, dropout=0.0))
    ids = some_windows(backbone)[:4]
    path = tmp_path / "readouts.safetensors"
    write_readouts(path, training.readouts, {})
    method = method_with(backbone, path, output_mix=0.0)
    with torch.no_grad():
        method.learn(ids, torch.ones_like(ids))
        method.solve()
        with method.hooks_active():
            loss = backbone.causal_lm(input_ids=ids, labels=ids).loss
    torch.testing.assert_close(training.training_step(ids).detach(), loss, rtol=1e-4, atol=1e-5)


def test_learning_rate_rises_then_falls_to_nothing(folder: Path) -> None:
    training = module(CausalLM(folder), steps=100, warmup=10)
    shares = [training._share(step) for step in range(100)]
    assert shares[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert shares[10] == 1.0
    assert shares[10:] == sorted(shares[10:], reverse=True)
    assert 0 < shares[-1] < 0.01
    assert [warmup_steps(steps) for steps in (5, 100, 20_000)] == [0, 10, 500]


def test_a_loss_that_is_no_number_ends_the_training(folder: Path, tmp_path: Path) -> None:
    answer = Readout(torch.zeros(1, 2 * WIDTH), torch.full((WIDTH, WIDTH), math.nan))
    training = module(CausalLM(folder))
    with torch.no_grad():
        training.outs[0].copy_(answer.out)
    with pytest.raises(Exception, match="at step 1 it is nan; use a smaller --lr"):
        training.training_step(some_windows(CausalLM(folder))[:4])
