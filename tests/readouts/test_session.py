"""Trainings from corpus to file: what they leave alone, and how they go on when they were killed."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from bench.backbones.hf import CausalLM
from bench.contracts import DataError, UsageError
from bench.toolkit.readout_files import READOUT, SCORER
from tests.helpers.readouts import CPU, method_with, session, some_windows

pytestmark = pytest.mark.slow


def test_the_loss_falls_and_the_backbone_stays(folder: Path, tmp_path: Path) -> None:
    ready = session(folder, tmp_path / "out.safetensors", steps=40)
    before = {name: tensor.clone() for name, tensor in ready.backbone.state_dict().items()}
    losses = ready.train(CPU).losses
    assert len(losses) == 40
    assert sum(losses[-5:]) < sum(losses[:5]) - 0.5
    after = ready.backbone.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_the_method_reads_the_file_and_answers_differently(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    ready = session(folder, out)
    ready.train(CPU)
    assert set(load_file(out)) == {name.format(number) for name in (SCORER, READOUT) for number in range(2)}
    with safe_open(out, "pt") as file:
        assert file.metadata()["corpus"] == "texts"
        assert file.metadata()["steps"] == "6"
    backbone = CausalLM(folder)
    ids = some_windows(backbone)[:2]
    answers = []
    for path in (None, out):
        method = method_with(backbone, path, output_mix=0.0)
        with torch.no_grad():
            method.learn(ids, torch.ones_like(ids))
            method.solve()
            with method.hooks_active():
                answers.append(backbone.causal_lm(input_ids=ids).logits)
    assert (answers[0] - answers[1]).abs().max() > 1e-3


class KilledError(Exception):
    pass


@pytest.mark.parametrize("kill_at", [3, 5])
def test_a_killed_training_resumed_ends_as_an_uninterrupted_one(folder: Path, tmp_path: Path, kill_at: int) -> None:
    whole, killed = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    expected = session(folder, whole).train(CPU)

    def kill(step: int, loss: float) -> None:
        if step == kill_at:
            raise KilledError

    ready = session(folder, killed)
    with pytest.raises(KilledError):
        ready.train(CPU, every=2, on_step=kill)
    assert not killed.exists()
    kept = torch.load(ready.checkpoint, weights_only=True)
    assert not [name for name in kept["state_dict"] if name.startswith("backbone")]
    with pytest.raises(
        UsageError, match=r"killed\.ckpt is a checkpoint of an unfinished training; continue it with --resume"
    ):
        session(folder, killed)
    done = session(folder, killed, resume=True).train(CPU)
    assert (done.resumed, done.steps) == (kill_at - 1, 6)
    assert done.losses == expected.losses
    ours, theirs = load_file(killed), load_file(whole)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert not ready.checkpoint.exists()


def test_a_checkpoint_of_another_training_is_not_resumed(folder: Path, tmp_path: Path) -> None:
    def kill(step: int, loss: float) -> None:
        raise KilledError

    out = tmp_path / "out.safetensors"
    with pytest.raises(KilledError):
        session(folder, out).train(CPU, every=1, on_step=kill)
    checkpoint = out.with_suffix(".ckpt")
    checkpoint.write_bytes(b"broken")
    with pytest.raises(DataError, match="cannot be resumed"):
        session(folder, out, resume=True)
    checkpoint.unlink()
    with pytest.raises(KilledError):
        session(folder, out).train(CPU, every=1, on_step=kill)
    with pytest.raises(UsageError, match="is a checkpoint with seed=0, not 1"):
        session(folder, out, resume=True, seed=1)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"window": 65}, UsageError, "--window must be at most the model's 64 tokens, got 65"),
        ({"batch": 1000}, DataError, "a batch needs 1000 windows of 32 tokens, and the corpus fills"),
        ({"memories": 4}, UsageError, "--memories must be 1 to 3 for a model of 4 blocks, got 4"),
    ],
)
def test_recipes_that_do_not_fit(
    folder: Path, tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        session(folder, tmp_path / "out.safetensors", **changes)


def test_bfloat16_keeps_what_is_trained_in_float32(folder: Path, tmp_path: Path) -> None:
    ready = session(folder, tmp_path / "out.safetensors", steps=40)
    losses = ready.train(CPU.with_precision("bf16-mixed")).losses
    assert sum(losses[-5:]) < sum(losses[:5]) - 0.5
    assert {tensor.dtype for tensor in load_file(ready.out).values()} == {torch.float32}
    assert {parameter.dtype for parameter in ready.backbone.parameters()} == {torch.float32}
