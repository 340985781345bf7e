"""Memories inside a model, on three families with random weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from bench.backbones.hf import CausalLM
from bench.contracts import AnswerProtocol, Classes, DataError, Inputs, Kind, ProblemShape, Query, Support, UsageError
from bench.testing.doubles import CosineBackbone
from bench.testing.tiny_models import save_model
from methods.faast import FaastOnHiddenStates, FaastOnHiddenStatesConfig

TEXTS = ["Word: happy\nSentiment: positive\n", "Word: awful\nSentiment: negative\n", "very good, very bad: indeed"]
PROMPTS = ["Word: happy\nSentiment:", "Word: a longer one\nSentiment:"]


@pytest.fixture(scope="module", params=["llama", "gpt2", "qwen2"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp(request.param), request.param))


def inputs(texts: list[str]) -> Inputs:
    return Inputs(np.arange(len(texts))[None], lambda wanted: [texts[position] for position in wanted])


def problem_shape(kind: Kind, n_way: int = 1) -> ProblemShape:
    protocol = AnswerProtocol(window=32, max_new_tokens=8)
    return ProblemShape(1, n_way, len(TEXTS), 0, 0, 0.0, "\n", 0, kind, protocol)


def support(texts: list[str], completions: list[str] | None = None) -> Support:
    shape = (1, len(texts))
    none = torch.zeros(*shape, 0)
    targets = None if completions is None else lambda wanted: [completions[position] for position in wanted]
    classes = Classes(torch.zeros(1, 1, 0), (("text",),))
    mask = torch.ones(shape, dtype=torch.bool)
    return Support(none, none, mask, classes, inputs(texts), torch.zeros(shape, dtype=torch.long), targets)


def query(texts: list[str], names: tuple[str, ...] = ("text",)) -> Query:
    none = torch.zeros(1, len(texts), 0)
    mask = torch.ones(1, len(texts), dtype=torch.bool)
    return Query(none, none, mask, Classes(torch.zeros(1, len(names), 0), (names,)), inputs(texts))


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
    ids = torch.tensor([backbone.tokenizer(text)["input_ids"]])
    seen: list[Tensor] = []
    handle = backbone.final_norm.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        backbone.model(input_ids=ids)
        handle.remove()
        weights: Any = method.memories[-1].weights
        state = 0.1 * seen[0] + 0.9 * seen[0] @ weights[0].mT
        found: Tensor = backbone.model.get_output_embeddings()(backbone.final_norm(state))
    return found[0]


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
    names = (" positive", " negative")
    method = learnt(backbone, Kind.TEXT_CLASSIFICATION)
    answer = method.predict(query(PROMPTS, names))
    assert isinstance(answer, Tensor)
    with method.hooks_active():
        cached = backbone.loglikelihood("Word: x\n", PROMPTS, names)
    for row, prompt in enumerate(PROMPTS):
        for column, name in enumerate(names):
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
