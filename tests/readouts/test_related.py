"""Readouts that are trained on what follows: groups of windows, their memories, and what the method makes of them."""

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.backbones.hf import CausalLM
from bench.contracts import DataError, UsageError
from bench.readouts.recipe import Recipe
from bench.readouts.training import ReadoutTraining
from bench.toolkit.readout_files import OUTPUT, READOUT, Readouts, read_readouts, read_tensors, write_readouts
from tests.helpers.readouts import CPU, WIDTH, method_with, session, some_windows

pytestmark = pytest.mark.slow
RELATED: dict[str, Any] = {"halves": "related", "stored": 2, "predicted": 1, "batch": 2, "dropout": 0.0}
FULL: dict[str, Any] = {**RELATED, "keys": "normed", "values": "residual", "output": True}


@pytest.fixture(scope="module")
def backbone(folder: Path) -> CausalLM:
    return CausalLM(folder)


def module(backbone: CausalLM, **changes: Any) -> ReadoutTraining:
    training = ReadoutTraining(backbone.eval(), Recipe(steps=4, window=16, learning_rate=1e-2, **changes))
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in [*training.scorers, *training.outs, *training.lefts]:
            parameter.normal_(std=0.1)
    return training


def groups(backbone: CausalLM) -> torch.Tensor:
    return some_windows(backbone, 16)[:6].unflatten(0, (2, 3))


@pytest.mark.parametrize("changes", [RELATED, FULL, {**FULL, "rank": 5}, {**FULL, "memories": 0}])
def test_each_group_is_predicted_with_what_the_method_learns_from_its_first_windows(
    backbone: CausalLM, tmp_path: Path, changes: dict[str, Any]
) -> None:
    training, batch, path = module(backbone, **changes), groups(backbone), tmp_path / "readouts.safetensors"
    found = training.training_step(batch)
    write_readouts(path, training.readouts, {})
    losses = []
    for group in batch:
        method = method_with(backbone, path, output_mix=0.0)
        with torch.no_grad():
            method.learn(group[:2], torch.ones_like(group[:2]))
            method.solve()
            with method.hooks_active():
                losses.append(backbone.causal_lm(input_ids=group[2:], labels=group[2:]).loss)
    torch.testing.assert_close(found.detach(), torch.stack(losses).mean(), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        alone = backbone.causal_lm(input_ids=batch[:, 2], labels=batch[:, 2]).loss
    assert abs(float(found.detach()) - float(alone)) > 1e-4


def test_the_first_step_is_the_backbone_alone_and_what_is_predicted_is_not_learnt(backbone: CausalLM) -> None:
    training = ReadoutTraining(backbone, Recipe(steps=4, window=16, **FULL))
    batch = groups(backbone)
    with torch.no_grad():
        alone = backbone.causal_lm(input_ids=batch[:, 2], labels=batch[:, 2]).loss
    torch.testing.assert_close(training.training_step(batch).detach(), alone)
    changed = batch.clone()
    changed[:, 2] = batch[:, 2].flip(-1)
    stored = [each[:, :2].flatten(0, 1) for each in (batch, changed)]
    for one, other in zip(*(training.fast_weights(each, 2) for each in stored), strict=True):
        assert torch.equal(one, other)


def test_unrelated_halves_are_predicted_with_the_memories_of_the_group_before(backbone: CausalLM) -> None:
    batch = groups(backbone)
    crossed = batch.clone()
    crossed[:, :2] = batch[:, :2].roll(1, dims=0)
    unrelated = module(backbone, **{**FULL, "halves": "unrelated"}).training_step(batch)
    torch.testing.assert_close(unrelated, module(backbone, **FULL).training_step(crossed), rtol=1e-4, atol=1e-4)
    with pytest.raises(UsageError, match="--halves unrelated needs a --batch of 2 groups or more, got 1"):
        ReadoutTraining(backbone, Recipe(steps=1, batch=1, halves="unrelated"))


def test_a_session_writes_what_the_file_has_to_say(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    ready = session(folder, out, **{**FULL, "window": 16, "steps": 25, "learning_rate": 3e-2})
    assert ready.windows.shape[1:] == (3, 16)
    losses = ready.train(CPU).losses
    assert sum(losses[-5:]) < sum(losses[:5])
    tensors, header = read_tensors(out)
    assert (header["keys"], header["values"], header["halves"]) == ("normed", "residual", "related")
    assert {OUTPUT, READOUT.format(1)} < set(tensors)
    found = read_readouts(out, WIDTH)
    assert (len(found.middle), found.keys, found.values) == (2, "normed", "residual")
    assert found.output is not None


def test_a_rank_bounds_the_projections(backbone: CausalLM) -> None:
    readouts = module(backbone, **{**FULL, "rank": 5})
    readouts.training_step(groups(backbone))
    made = readouts.readouts
    assert made.output is not None
    for out in (*(each.out for each in made.middle), made.output):
        assert int(torch.linalg.matrix_rank(out.detach())) == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"memories": 0}, "got 0; 0 needs --output-readout"),
        ({"rank": WIDTH + 1}, "--rank must be at most the model's width, 32"),
    ],
)
def test_recipes_that_fit_no_model_are_refused(backbone: CausalLM, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ReadoutTraining(backbone, Recipe(steps=1, **changes))


def test_keys_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "readouts.safetensors"
    write_readouts(path, Readouts(output=torch.ones(WIDTH, WIDTH), keys="squared"), {})  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"keys of .* must be one of state, normed, got squared"):
        read_readouts(path, WIDTH)
