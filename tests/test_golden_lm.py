"""FAAST inside a language model against outputs of the published implementation (float32, CPU)."""

import json
import shutil
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.backbones.hf import CausalLM
from bench.contracts import Kind, ProblemShape
from bench.testing.tiny_models import save_tokenizer
from bench.toolkit.readout_files import READOUT, SCORER
from methods._fast_weights import ChunkedFastWeights, FastWeights
from methods.faast import FaastOnHiddenStates, FaastOnHiddenStatesConfig
from tests.helpers.golden import cases

CASES = cases("llm")


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Any, Any]:
    """The facts of a case, its tensors, and its method, which has learnt."""
    facts, root, name = CASES[request.param]
    tensors = load_file(root / f"{name}.safetensors")
    folder = tmp_path_factory.mktemp(request.param)
    model = folder / "model"
    shutil.copytree(root / facts["base"], model)
    vocabulary = json.loads((model / "config.json").read_text())["vocab_size"]
    save_tokenizer(model, vocabulary)  # the cases are given as tokens; a backbone wants a tokenizer all the same
    readouts = {name.removeprefix("weights."): value for name, value in tensors.items() if name.startswith("weights.")}
    config: dict[str, Any] = {"alpha": facts["alpha"], "output_mix": facts["output_mix"]}
    if readouts:
        assert {SCORER.format(0), READOUT.format(0)} <= set(readouts)
        save_file(readouts, folder / "readouts.safetensors")
        config["readouts"] = str(folder / "readouts.safetensors")
    return facts, tensors, (config, CausalLM(model))


def learnt(case: tuple[dict[str, Any], Any, Any], solver: str) -> FaastOnHiddenStates:
    facts, tensors, (config, backbone) = case
    shape = ProblemShape(1, 1, 1, 0, 0, 0.0, "\n", 0, Kind.LANGUAGE_MODELLING)
    streaming = {"max_memory": facts["max_memory"], "update_size": facts["update_size"]}
    method = FaastOnHiddenStates(FaastOnHiddenStatesConfig(**config, **streaming, solver=solver), backbone, shape)
    with torch.no_grad():
        for batch in range(sum(name.startswith("learn_ids") for name in tensors)):
            method.learn(tensors[f"learn_ids.{batch}"].long(), tensors[f"learn_mask.{batch}"].long())
        method.solve()
    return method


def logits(method: FaastOnHiddenStates, ids: Tensor) -> Tensor:
    with torch.no_grad(), method.hooks_active():
        found: Tensor = method.backbone.causal_lm(input_ids=ids).logits
    return found


def distance(ours: Tensor, reference: Tensor) -> float:
    return float((ours - reference).norm() / reference.norm())


def weights_of(memory: torch.nn.Module) -> Tensor:
    assert isinstance(memory, FastWeights | ChunkedFastWeights)
    return memory.weights[0]


def agrees(method: FaastOnHiddenStates, tensors: dict[str, Tensor]) -> None:
    for number, memory in enumerate(method.memories):
        assert distance(weights_of(memory), tensors[f"fast_weights.{number}"]) < 1e-4
    assert distance(logits(method, tensors["query_ids"].long()), tensors["faast_logits"]) < 1e-4


def test_published_solver_agrees(case: tuple[dict[str, Any], Any, Any]) -> None:
    facts, tensors, _ = case
    method = learnt(case, "published")
    assert len(method.memories) == len(facts["insert_before_blocks"])
    agrees(method, tensors)


def test_exact_solver_agrees_where_nothing_was_streamed(case: tuple[dict[str, Any], Any, Any]) -> None:
    facts, tensors, _ = case
    if facts["max_memory"] < 65_536:
        pytest.skip("this reference averages chunks, which is not the joint solution")
    agrees(learnt(case, "exact"), tensors)


def test_without_memories_the_model_is_as_it_was(case: tuple[dict[str, Any], Any, Any]) -> None:
    _, tensors, (_, backbone) = case
    learnt(case, "exact")
    with torch.no_grad():
        found = backbone.causal_lm(input_ids=tensors["query_ids"].long()).logits
    assert distance(found, tensors["base_logits"]) < 1e-5
