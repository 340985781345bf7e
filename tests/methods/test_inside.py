"""Memories inside a model, on three families with random weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from bench.backbones.hf import CausalLM
from bench.contracts import DataError, Kind, UsageError
from bench.testing.doubles import CosineBackbone
from bench.testing.tiny_models import save_model
from methods.faast import FaastOnHiddenStates, FaastOnHiddenStatesConfig
from tests.helpers.language import NAMES, PROMPTS, TEXTS, problem_shape, query, read, support


@pytest.fixture(scope="module", params=["llama", "gpt2", "qwen2"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp(request.param), request.param))


def learnt(
    backbone: CausalLM, kind: Kind, texts: list[str] = TEXTS, n_way: int = 1, **config: Any
) -> FaastOnHiddenStates:
    method = FaastOnHiddenStates(FaastOnHiddenStatesConfig(**config), backbone, problem_shape(kind, n_way))
    method.observe(support(texts))
    method.solve()
    return method


def readouts(path: Path, width: int = 32, change: float = 0.1) -> str:
    rng = torch.Generator().manual_seed(3)
    save_file(
        {
            "external.layers.0.memory_reader.scorer.weight": change * torch.randn(1, 2 * width, generator=rng),
            "external.layers.0.interpreter.out_proj.weight": change * torch.randn(width, width, generator=rng),
        },
        path,
    )
    return str(path)


def by_hand(backbone: CausalLM, method: FaastOnHiddenStates, text: str) -> Tensor:
    """Logits of a text with the output memory's map applied by hand."""
    state, weights = read(backbone, text, backbone.final_norm).inputs, torch.as_tensor(method.memories[-1].weights)
    with torch.no_grad():
        mixed = 0.1 * state + 0.9 * state @ weights[0].mT
        found: Tensor = backbone.model.get_output_embeddings()(backbone.final_norm(mixed))
    return found


def test_perplexity_goes_through_the_memory(backbone: CausalLM) -> None:
    method = learnt(backbone, Kind.LANGUAGE_MODELLING)
    text = "very bad: a happy word"
    answer = method.predict(query([text]))
    ids = backbone.tokenizer(text)["input_ids"]
    each = by_hand(backbone, method, text)[:-1].log_softmax(dim=-1)
    expected = -each.gather(1, torch.tensor(ids[1:])[:, None]).sum()
    assert isinstance(answer, Tensor)
    torch.testing.assert_close(answer[0, 0, 0].float(), expected, rtol=1e-4, atol=1e-3)
    assert answer[0, 0, 1] == len(ids) - 1
    alone = backbone.loglikelihood_rolling([text], 32, None)
    assert abs(float(alone[0, 0]) - float(expected)) > 0.1


def test_answers_and_cached_contexts_go_through_the_memory(backbone: CausalLM) -> None:
    method = learnt(backbone, Kind.TEXT_CLASSIFICATION)
    answer = method.predict(query(PROMPTS, NAMES))
    assert isinstance(answer, Tensor)
    with method.hooks_active():
        cached = backbone.loglikelihood("Word: x\n", PROMPTS, NAMES)
    for row, prompt in enumerate(PROMPTS):
        for column, name in enumerate(NAMES):
            for context, found in (("", answer[0]), ("Word: x\n", cached)):
                stem = len(backbone.tokenizer(context + prompt)["input_ids"])
                ids = torch.tensor(backbone.tokenizer(context + prompt + name)["input_ids"])
                each = by_hand(backbone, method, context + prompt + name).log_softmax(dim=-1)
                expected = each[stem - 1 : -1].gather(1, ids[stem:, None]).sum()
                torch.testing.assert_close(found[row, column], expected, rtol=1e-4, atol=1e-3)


def test_writing_goes_through_the_memory(backbone: CausalLM) -> None:
    method = learnt(backbone, Kind.TEXT_GENERATION)
    before = backbone.generate(PROMPTS, 8)
    written = method.predict(query(PROMPTS))
    assert isinstance(written, list)
    assert len(written) == len(PROMPTS)
    assert written != before
    assert backbone.generate(PROMPTS, 8) == before


def test_an_example_is_its_prompt_with_its_answer(backbone: CausalLM) -> None:
    whole = learnt(backbone, Kind.LANGUAGE_MODELLING, ["Word: happy\nSentiment: positive\n"])
    method = FaastOnHiddenStates(FaastOnHiddenStatesConfig(), backbone, problem_shape(Kind.TEXT_GENERATION))
    method.observe(support(["Word: happy\nSentiment:"], [" positive"]))
    method.solve()
    torch.testing.assert_close(method.memories[0].weights, whole.memories[0].weights)


def test_padding_and_batches_change_nothing(backbone: CausalLM) -> None:
    together = learnt(backbone, Kind.LANGUAGE_MODELLING)
    one_by_one = FaastOnHiddenStates(FaastOnHiddenStatesConfig(), backbone, problem_shape(Kind.LANGUAGE_MODELLING))
    for text in TEXTS:
        one_by_one.observe(support([text]))
    one_by_one.solve()
    assert together.notes == one_by_one.notes
    torch.testing.assert_close(together.memories[0].weights, one_by_one.memories[0].weights, rtol=1e-3, atol=1e-3)


def test_state_does_not_grow_with_the_support_text(backbone: CausalLM) -> None:
    short = learnt(backbone, Kind.LANGUAGE_MODELLING, TEXTS[:1])
    long = learnt(backbone, Kind.LANGUAGE_MODELLING, TEXTS * 20)
    assert short.state_bytes() == long.state_bytes() == 4 * 32 * 32


def test_without_examples_the_model_answers_as_it_is(backbone: CausalLM) -> None:
    method = FaastOnHiddenStates(FaastOnHiddenStatesConfig(), backbone, problem_shape(Kind.LANGUAGE_MODELLING))
    method.solve()
    found = method.predict(query(TEXTS))
    assert isinstance(found, Tensor)
    torch.testing.assert_close(found[0], backbone.loglikelihood_rolling(TEXTS, 32, None))


def test_middle_memories_need_readouts_and_change_the_answers(backbone: CausalLM, tmp_path: Path) -> None:
    plain = learnt(backbone, Kind.LANGUAGE_MODELLING)
    assert "output memory works alone" in plain.notes["readouts"]
    path = readouts(tmp_path / "readouts.safetensors")
    method = learnt(backbone, Kind.LANGUAGE_MODELLING, readouts=path)
    assert len(method.memories) == 2
    assert method.notes["readouts"] == path
    found, without = method.predict(query(TEXTS)), plain.predict(query(TEXTS))
    assert isinstance(found, Tensor)
    assert isinstance(without, Tensor)
    assert not torch.allclose(found, without)
    # A readout of zeros, as it is before training, is no change.
    silent = learnt(
        backbone, Kind.LANGUAGE_MODELLING, readouts=readouts(tmp_path / "zero.safetensors", change=0.0)
    ).predict(query(TEXTS))
    assert isinstance(silent, Tensor)
    torch.testing.assert_close(silent, without, rtol=1e-4, atol=1e-3)


def test_readouts_that_do_not_fit_are_refused_in_one_line(backbone: CausalLM, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found none at"):
        learnt(backbone, Kind.LANGUAGE_MODELLING, readouts=str(tmp_path / "missing.safetensors"))
    path = readouts(tmp_path / "wide.safetensors", width=48)
    with pytest.raises(DataError, match=r"must have shape \(1, 64\)"):
        learnt(backbone, Kind.LANGUAGE_MODELLING, readouts=path)


def test_a_backbone_without_language_is_refused() -> None:
    with pytest.raises(UsageError, match="needs a language model"):
        FaastOnHiddenStates(FaastOnHiddenStatesConfig(), CosineBackbone(), problem_shape(Kind.TEXT_CLASSIFICATION, 2))
