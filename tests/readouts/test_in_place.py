"""Training of convolution and P of in-place test-time training: what it starts from, reaches and writes."""

from pathlib import Path

import pytest
import torch

from bench.backbones.hf import CausalLM
from bench.contracts import Kind, UsageError
from bench.readouts.corpus import Corpus
from bench.readouts.in_place import InPlaceRecipe, InPlaceTraining
from bench.readouts.session import Session
from bench.toolkit.in_place_files import read_in_place
from methods.in_place_ttt import InPlaceTtt, InPlaceTttConfig
from tests.helpers.language import problem_shape
from tests.helpers.readouts import CPU, TEXTS, some_windows

RECIPE = InPlaceRecipe(steps=12, window=32, learning_rate=3e-2, chunk=8, memory_rate=1.0, ramp=1)


def test_the_first_loss_is_the_models_own_and_gradients_reach_the_parts_alone(folder: Path) -> None:
    backbone = CausalLM(folder).eval()
    training, ids = InPlaceTraining(backbone, RECIPE), some_windows(backbone)[:4]
    with torch.no_grad():
        own = backbone.causal_lm(input_ids=ids, labels=ids).loss
    loss = training.training_step(ids)
    torch.testing.assert_close(loss.detach(), own)
    loss.backward()  # type: ignore[no-untyped-call]
    assert training.blocks == [0]
    (conv,), (proj,) = training.convs, training.projs
    assert conv.grad is not None
    assert conv.grad.abs().max() > 0
    # With a convolution of zeros P has no part in the loss yet.
    assert proj.grad is not None
    assert proj.grad.abs().max() == 0
    assert all(parameter.grad is None for parameter in backbone.parameters())
    with pytest.raises(UsageError, match="longer than a chunk of 8 tokens, got 8"):
        InPlaceTraining(backbone, InPlaceRecipe(steps=1, window=8, chunk=8))


@pytest.mark.slow
def test_training_writes_what_the_method_reads(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "parts.safetensors"
    ready = Session(f"hf:{folder}", Corpus("texts", TEXTS), RECIPE, out)
    before = {name: tensor.clone() for name, tensor in ready.backbone.state_dict().items()}
    losses = ready.train(CPU).losses
    assert sum(losses[-3:]) < sum(losses[:3])
    assert all(torch.equal(tensor, before[name]) for name, tensor in ready.backbone.state_dict().items())
    found = read_in_place(out, ready.backbone.width)
    assert (found.about["memory_rate"], found.about["target"], found.about["chunk"]) == ("1.0", "hidden", "8")
    config = InPlaceTttConfig(weights=out, chunk=8, scope="query")
    method = InPlaceTtt(config, ready.backbone, problem_shape(Kind.LANGUAGE_MODELLING))
    assert method.layers.rates == [1.0]
    # Training and the method put the same states through the model.
    ids = some_windows(CausalLM(folder))[:2]
    with torch.no_grad():
        ours = ready.module.training_step(ids)
        with method.layers.active():
            hidden = ready.backbone.decoder(input_ids=ids, use_cache=False).last_hidden_state
            logits = ready.backbone.causal_lm.get_output_embeddings()(hidden)  # type: ignore[operator]
    theirs = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    torch.testing.assert_close(ours, theirs)
