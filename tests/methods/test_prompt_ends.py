"""Methods that read a language model at the end of prompts: distributions and states there."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from scipy.stats import entropy
from sklearn.decomposition import PCA

from bench.backbones.hf import CausalLM
from bench.contracts import Kind, Limits, UsageError
from bench.testing.driver import adapt
from bench.testing.tiny_models import save_model
from methods._end_vectors import answers_by_module
from methods._prompt_ends import after_blocks, answers_with, changed_at, end_inputs, next_tokens
from methods.function_vector import FunctionVector
from methods.icv import STRENGTHS, Icv, directions, steered
from methods.knn_prompting import KnnPrompting
from methods.task_vector import TaskVector
from tests.helpers.language import NAMES, PROMPTS, TEXTS, problem_shape, query, support

MANY = ["Word: happy\nSentiment:", "Word: awful\nSentiment:", "Word: so good\nSentiment:", "Word: very bad\nSentiment:"]
LABELS = [0, 1, 0, 1]


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp("model"), request.param, context=160))


def learnt(cls: Any, backbone: CausalLM, limits: Limits | None = None, instruction: str = "", **config: Any) -> Any:
    plain = problem_shape(Kind.TEXT_CLASSIFICATION, n_way=2)
    protocol = replace(plain.protocol, instruction=instruction)
    shape = replace(plain, limits=limits or Limits(), protocol=protocol)
    method = cls(cls.Config(**config), backbone, shape)
    with torch.no_grad():
        adapt(method, support(MANY, labels=LABELS, names=NAMES))
    return method


@torch.no_grad()
def test_next_tokens_and_answers_are_those_of_each_text_alone(backbone: CausalLM) -> None:
    for context in ("", TEXTS[0]):
        found = next_tokens(backbone, context, PROMPTS)
        for row, prompt in zip(found, PROMPTS, strict=True):
            ids = torch.tensor([backbone.tokenizer(context + prompt)["input_ids"]])
            torch.testing.assert_close(
                row, backbone.model(input_ids=ids).logits[0, -1].log_softmax(-1), rtol=1e-4, atol=1e-4
            )
    for names in (NAMES, (" positive", " negative, very")):
        scores = answers_with(backbone, PROMPTS, names, lambda last: nullcontext())
        torch.testing.assert_close(scores, backbone.loglikelihood("", PROMPTS, names), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_answers_by_module_are_those_with_each_module_changed(backbone: CausalLM) -> None:
    modules = after_blocks(backbone)
    vectors = torch.randn(len(modules), backbone.width, generator=torch.Generator().manual_seed(0))
    for names in (NAMES, (" positive", " negative, very"), (" very good", " very bad")):
        found = answers_by_module(backbone, PROMPTS, names, modules, lambda number, states: states + vectors[number])
        for scores, module, vector in zip(found, modules, vectors, strict=True):
            expected = answers_with(
                backbone,
                PROMPTS,
                names,
                lambda last, module=module, vector=vector: changed_at(last, module, lambda states: states + vector),
            )
            torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("cls", [KnnPrompting, TaskVector, FunctionVector, Icv])
@torch.no_grad()
def test_every_text_begins_with_the_instruction(cls: Any, backbone: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    read, tokens, said = list[str](), backbone.tokens, "Say it.\n"
    monkeypatch.setattr(backbone, "tokens", lambda texts, *more: read.extend(texts) or tokens(texts, *more))
    method = learnt(cls, backbone, instruction=said)
    learning = len(read)
    method.predict(query(PROMPTS, NAMES))
    assert learning
    # Answers of the model itself, which it gives with the instruction, are not read by ``tokens``.
    assert cls is Icv or learning < len(read)
    assert all(text.startswith(said) and text.count(said) == 1 for text in read)


@pytest.mark.parametrize("keep", [None, 320, 5])
@torch.no_grad()
def test_divergence_is_that_of_scipy(backbone: CausalLM, keep: int | None) -> None:
    method = learnt(KnnPrompting, backbone, demonstrations=0, keep=keep)
    queries = next_tokens(backbone, "", PROMPTS)
    found = method.divergences(queries)
    anchors = next_tokens(
        backbone, "", [MANY[item] for item in reversed(method._given.arranged(range(4), method.shape.generator()))]
    )
    for row, probabilities in zip(found, queries.double().exp(), strict=True):
        for value, anchor in zip(row, anchors.double().exp(), strict=True):
            p, q = anchor, probabilities
            if keep == 5:
                top = p.topk(5).indices
                p, q = (torch.cat([each[top], (1 - each[top].sum())[None]]) for each in (p, q))
            torch.testing.assert_close(float(value), float(entropy(p.numpy(), q.numpy())), rtol=1e-3, atol=1e-6)


@torch.no_grad()
def test_the_nearest_anchor_of_a_support_prompt_is_itself(backbone: CausalLM) -> None:
    for count in (0, 1):
        method = learnt(KnnPrompting, backbone, k=1, demonstrations=count)
        assert method.notes == {"demonstrations": 2 * count, "anchors": 4 - 2 * count}
        shown = set(method._shown)
        anchors = [item for item in range(4) if item not in shown]
        found = method.predict(query([MANY[item] for item in anchors], NAMES))
        assert found[0].argmax(dim=1).tolist() == [LABELS[item] for item in anchors]
    whole = learnt(KnnPrompting, backbone, k=3, demonstrations=0)
    scores = whole.predict(query(PROMPTS, NAMES))
    assert scores.floor().sum(dim=-1).tolist() == [[3.0, 3.0]]


@torch.no_grad()
def test_anchors_fill_a_budget_and_demonstrations_must_fit(backbone: CausalLM) -> None:
    whole = learnt(KnnPrompting, backbone)
    assert whole.notes == {"demonstrations": 2, "anchors": 2}
    limit = whole.state_bytes() - 1
    held = learnt(KnnPrompting, backbone, Limits(state_bytes=limit))
    assert 0 < held.state_bytes() <= limit
    assert held.predict(query(PROMPTS, NAMES)).isfinite().all()
    with pytest.raises(UsageError, match=r"demonstrations=9 of each class must fit .*; use at most [12], or auto"):
        learnt(KnnPrompting, backbone, demonstrations=9)
    with pytest.raises(UsageError, match="demonstrations=2 must leave an example of a class to compare with"):
        learnt(KnnPrompting, backbone, demonstrations=2)


VECTORS: list[Any] = [TaskVector, FunctionVector, Icv]
SHORT = {FunctionVector: {"prompts": 3, "trials": 2, "heads": 2}}


@pytest.mark.parametrize("cls", VECTORS)
@torch.no_grad()
def test_a_vector_of_strength_0_changes_nothing_and_a_stronger_one_does(backbone: CausalLM, cls: Any) -> None:
    plain = backbone.answer(query(PROMPTS, NAMES), Kind.TEXT_CLASSIFICATION, problem_shape().protocol)
    none, some = (learnt(cls, backbone, strength=strength, **SHORT.get(cls, {})) for strength in (0, 1))
    torch.testing.assert_close(none.predict(query(PROMPTS, NAMES)), plain, rtol=1e-4, atol=1e-4)
    assert (some.predict(query(PROMPTS, NAMES)) - plain).abs().max() > 0.01
    width = backbone.width * 4
    assert some.state_bytes() == width * (len(backbone.blocks) if cls is Icv else 1)
    assert some.context_tokens() == 0


@torch.no_grad()
def test_a_state_in_its_own_place_changes_nothing_and_is_that_after_a_block(backbone: CausalLM) -> None:
    method = learnt(TaskVector, backbone, layer=0)
    states = end_inputs(backbone, "", PROMPTS[:1], after_blocks(backbone))[0]
    ids = torch.tensor([backbone.tokenizer(PROMPTS[0])["input_ids"]])
    hidden = backbone.model(input_ids=ids, output_hidden_states=True).hidden_states
    torch.testing.assert_close(states[0], hidden[1][0, -1], rtol=1e-4, atol=1e-4)
    plain = backbone.loglikelihood("", PROMPTS[:1], NAMES)
    for layer in range(2):
        torch.testing.assert_close(method.scored(PROMPTS[:1], NAMES, layer, states[layer]), plain, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_task_vector_is_the_state_after_the_other_examples(backbone: CausalLM) -> None:
    method = learnt(TaskVector, backbone)
    order = method._given.arranged(range(4), method.shape.generator())
    text = "".join(method._given.texts[item] for item in order[:-1]) + MANY[order[-1]]
    ids = torch.tensor([backbone.tokenizer(text)["input_ids"]])
    hidden = backbone.model(input_ids=ids, output_hidden_states=True).hidden_states
    # One example of each class in the shape: nothing is chosen.
    assert method.layer == method.notes["layer"] == 0
    torch.testing.assert_close(method.vector, hidden[1][0, -1], rtol=1e-4, atol=1e-4)
    assert method.notes["spread"] > 0
    with pytest.raises(UsageError, match="layer must be one of the 2 blocks, 0 to 1, got 2"):
        learnt(TaskVector, backbone, layer=2)


def test_the_block_is_chosen_by_support_items_that_the_vector_has_not_seen(
    backbone: CausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, ...]] = []

    def scored(self: TaskVector, prompts: Any, vectors: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(prompts))
        right = torch.tensor([LABELS[MANY.index(prompt)] for prompt in prompts])
        return torch.nn.functional.one_hot(torch.stack([1 - right, right]), 2).float()

    monkeypatch.setattr(TaskVector, "_scored_by_layer", scored)
    contexts: list[str] = []
    before = TaskVector.before
    monkeypatch.setattr(
        TaskVector, "before", lambda self, order, texts: contexts.append(before(self, order, texts)) or contexts[-1]
    )
    shape = replace(problem_shape(Kind.TEXT_CLASSIFICATION, n_way=2), n_support=4)
    method = TaskVector(TaskVector.Config(), backbone, shape)
    adapt(method, support(MANY, labels=LABELS, names=NAMES))
    assert method.layer == 1
    assert sorted({prompt for prompts in seen for prompt in prompts}) == sorted(MANY)
    for text, prompts in zip(contexts[-2:], dict.fromkeys(seen), strict=True):
        assert not any(prompt in text for prompt in prompts)


@torch.no_grad()
def test_all_heads_together_are_the_output_of_attention(backbone: CausalLM) -> None:
    method = FunctionVector(FunctionVector.Config(), backbone, problem_shape(Kind.TEXT_CLASSIFICATION, n_way=2))
    outputs: list[torch.Tensor] = []
    module = method._projections[1]
    handle = module.register_forward_hook(lambda _, __, out: outputs.append(out))
    means, _ = method.outputs("", PROMPTS[0], NAMES[0])
    handle.remove()
    bias = getattr(module, "bias", None)
    expected = outputs[0][0, -1] - (0 if bias is None else bias)
    heads = [(1, head) for head in range(4)]
    torch.testing.assert_close(method.summed(means, heads), expected, rtol=1e-4, atol=1e-4)
    total = sum(method.summed(means, [each]) for each in heads)
    torch.testing.assert_close(total, expected, rtol=1e-4, atol=1e-4)
    # A head's own output in its place has no effect, another one's has.
    answer = NAMES[0]
    assert method.effects("", PROMPTS[0], answer, means).abs().max() < 1e-6
    assert method.effects("", PROMPTS[1], answer, 3 * means).abs().max() > 1e-6


@pytest.mark.parametrize("right", [{1, 3}, {1}])
def test_a_function_vector_is_of_prompts_that_the_model_answers(
    backbone: CausalLM, monkeypatch: pytest.MonkeyPatch, right: set[int]
) -> None:
    """Of all prompts where it answers less than two; items left out have no prompt in the vector that answers them."""
    answered: list[tuple[list[int], float]] = []

    def scored(self: FunctionVector, prompts: Any, vectors: torch.Tensor) -> torch.Tensor:
        answered.append(([MANY.index(prompt) for prompt in prompts], float(vectors[0, 0])))
        return torch.zeros(2, len(prompts), 2)

    def outputs(self: FunctionVector, context: str, prompt: str, answer: str) -> tuple[torch.Tensor, bool]:
        return torch.full((2, 4, 8), 10.0 ** MANY.index(prompt)), MANY.index(prompt) in right

    monkeypatch.setattr(FunctionVector, "outputs", outputs)
    monkeypatch.setattr(FunctionVector, "effects", lambda self, *drawn: torch.zeros(2, 4))
    monkeypatch.setattr(FunctionVector, "summed", lambda self, means, heads: means.mean().expand(backbone.width))
    monkeypatch.setattr(FunctionVector, "_scored_by_layer", scored)
    shape = replace(problem_shape(Kind.TEXT_CLASSIFICATION, n_way=2), n_support=4)
    method = FunctionVector(FunctionVector.Config(), backbone, shape)
    adapt(method, support(MANY, labels=LABELS, names=NAMES))
    used = right if len(right) > 1 else set(range(4))
    assert method.notes["prompts"] == len(used)
    assert float(method.vector[0]) == pytest.approx(sum(10.0**item for item in used) / len(used))
    assert sorted(item for held, _ in answered for item in held) == [0, 1, 2, 3]
    for held, value in answered:
        kept = used - set(held)
        assert value == pytest.approx(sum(10.0**item for item in kept) / len(kept))


@pytest.mark.slow
@torch.no_grad()
def test_the_strength_is_the_best_on_support_items_that_the_vectors_have_not_seen(
    backbone: CausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = Icv(Icv.Config(), backbone, problem_shape(Kind.TEXT_CLASSIFICATION, n_way=2))
    seen: list[tuple[list[int], torch.Tensor]] = []

    def scored(context: str, prompts: Any, names: Any) -> torch.Tensor:
        items = [MANY.index(prompt) for prompt in prompts]
        seen.append((items, method.vectors))
        right = torch.tensor([LABELS[item] for item in items])
        return torch.nn.functional.one_hot(right if method.strength == STRENGTHS[3] else 1 - right, 2).float()

    monkeypatch.setattr(backbone, "loglikelihood", scored)
    adapt(method, support(MANY, labels=LABELS, names=NAMES))
    assert method.strength == method.notes["chosen_strength"] == STRENGTHS[3]
    assert sorted(item for items, _ in seen for item in items) == sorted(list(range(4)) * len(STRENGTHS))
    for items, vectors in seen:
        others = [item for item in range(4) if item not in items]
        alone = Icv(Icv.Config(strength=0.1), backbone, method.shape)
        texts, labels = [MANY[item] for item in others], [LABELS[item] for item in others]
        adapt(alone, support(texts, labels=labels, names=NAMES))
        torch.testing.assert_close(vectors, alone.vectors, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(method.vectors, learnt(Icv, backbone, strength=0.1).vectors)


@torch.no_grad()
def test_a_direction_is_the_mean_and_first_component_and_is_added_at_length() -> None:
    values = torch.randn(7, 3, 32, generator=torch.Generator().manual_seed(0)) + 0.5
    flat = values.flatten(1)
    component = torch.tensor(PCA(1).fit(flat.numpy()).components_[0])
    component = component * (component @ flat.mean(dim=0)).sign()
    expected = (flat.mean(dim=0) + component).view(3, 32)[1:]
    torch.testing.assert_close(directions(values), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(directions(values[:1]), values[0, 1:])
    states, vector = values[:3, 0], -values[4, 0]
    found = steered(states, vector, 0.1)
    for state, changed in zip(states, found, strict=True):
        factor = 0.1 * (1 + max(0.0, float(-(state @ vector) / state.norm() / vector.norm())))
        expected = state / state.norm() + factor * vector / vector.norm()
        torch.testing.assert_close(changed, expected / expected.norm() * state.norm(), rtol=1e-5, atol=1e-5)
