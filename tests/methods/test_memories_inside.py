"""Softmax, Hebbian and ridge memories inside a decoder, against their formulas written out in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor

from bench.backbones.hf import CausalLM
from bench.contracts import Kind
from bench.testing.tiny_models import save_model
from bench.toolkit.hidden_states import HiddenStateMethod
from methods._hebbian_memory import CosineHebbian
from methods.hebbian import HebbianOnHiddenStates
from methods.ridge import RidgeOnHiddenStates
from methods.softmax_memory import SoftmaxOnHiddenStates
from tests.helpers.language import NAMES, PROMPTS, TEXTS, pairs, problem_shape, query, read, support

EVERY = pytest.mark.parametrize("cls", [SoftmaxOnHiddenStates, HebbianOnHiddenStates, RidgeOnHiddenStates])


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp(request.param), request.param))


def learnt(
    cls: type[HiddenStateMethod],
    backbone: CausalLM,
    kind: Kind = Kind.LANGUAGE_MODELLING,
    texts: Any = TEXTS,
    **config: Any,
) -> Any:
    method = cls(cls.Config(**config), backbone, problem_shape(kind))
    with torch.no_grad():
        for text in texts:
            method.observe(support([text]))
        method.solve()
    return method


def states(backbone: CausalLM) -> Tensor:
    """Hidden states of a text that was not learnt."""
    return read(backbone, "very bad: a happy word", backbone.final_norm).inputs


def assert_answers(method: Any, queries: Tensor, expected: Tensor) -> None:
    found = method.memories[-1].read(queries[None])[0]
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-4)


def cosines(queries: Tensor, keys: Tensor) -> Tensor:
    return queries @ keys.mT / queries.norm(dim=-1, keepdim=True) / keys.norm(dim=-1)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_softmax_averages_the_following_tokens(backbone: CausalLM, scale: float) -> None:
    keys, values = pairs(backbone, TEXTS)
    queries = states(backbone)
    expected = (scale * cosines(queries.double(), keys)).softmax(dim=-1) @ values
    method = learnt(SoftmaxOnHiddenStates, backbone, scale=scale)
    assert_answers(method, queries, expected)
    assert method.state_bytes() == len(keys) * (32 * 4 + 32 * 4 + 1)


@pytest.mark.parametrize("decay", [0.5, 0.95, 1.0])
def test_hebbian_attends_without_softmax_to_the_last_tokens_most(backbone: CausalLM, decay: float) -> None:
    keys, values = pairs(backbone, TEXTS)
    queries = states(backbone)
    age = torch.arange(len(keys) - 1, -1, -1).double()
    recalled = (decay**age * cosines(queries.double(), keys)) @ values
    directions = recalled / recalled.norm(dim=-1, keepdim=True)
    as_state = learnt(HebbianOnHiddenStates, backbone, decay=decay, length="state")
    assert_answers(as_state, queries, directions * queries.double().norm(dim=-1, keepdim=True))
    mean = (decay**age * values.norm(dim=-1)).sum() / (decay**age).sum()
    assert_answers(learnt(HebbianOnHiddenStates, backbone, decay=decay), queries, directions * mean)


def test_hebbian_answers_are_as_long_as_what_was_learnt_by_default(backbone: CausalLM) -> None:
    """However long the state that asks: the same share then leaves as much of it as with the other memories."""
    assert HebbianOnHiddenStates.Config().length == "values"  # type: ignore[attr-defined]
    lengths = pairs(backbone, TEXTS)[1].norm(dim=-1)
    queries = 100 * states(backbone)
    for decay in (0.95, 1.0):
        answers = learnt(HebbianOnHiddenStates, backbone, decay=decay).memories[-1].read(queries[None])[0].norm(dim=-1)
        assert bool((answers >= lengths.min() * 0.999).all())
        assert bool((answers <= lengths.max() * 1.001).all())
        as_state = (
            learnt(HebbianOnHiddenStates, backbone, decay=decay, length="state").memories[-1].read(queries[None])[0]
        )
        torch.testing.assert_close(as_state.norm(dim=-1), queries.norm(dim=-1))


def test_the_length_of_values_is_their_decayed_mean_over_batches_without_padding() -> None:
    generator = torch.Generator().manual_seed(0)
    keys, values = torch.randn(2, 6, 8, generator=generator), torch.randn(2, 6, 4, generator=generator)
    mask = torch.tensor([[1, 1, 0, 1, 1, 1], [0, 0, 1, 1, 1, 0]]).bool()
    whole, parts = (CosineHebbian(2, 8, 4, 0.9, "values") for _ in range(2))
    whole.observe(keys, values, mask)
    for part in (slice(0, 2), slice(2, 6)):
        parts.observe(keys[:, part], values[:, part], mask[:, part])
    whole.solve()
    parts.solve()
    for episode in range(2):
        lengths = values[episode][mask[episode]].norm(dim=-1)
        weights = 0.9 ** torch.arange(len(lengths) - 1, -1, -1)
        expected = (weights * lengths).sum() / weights.sum()
        for memory in (whole, parts):
            torch.testing.assert_close(memory.read(keys)[episode].norm(dim=-1), expected.expand(6))
    empty = CosineHebbian(1, 8, 4, 0.9, "values")
    empty.solve()
    assert not empty.read(keys[:1]).any()


def test_hebbian_reads_what_has_not_decayed(backbone: CausalLM) -> None:
    method = learnt(HebbianOnHiddenStates, backbone, texts=TEXTS * 9, decay=0.5)
    assert method.notes["support_tokens"] < len(pairs(backbone, TEXTS * 2)[0])
    torch.testing.assert_close(
        method.memories[0].weights,
        learnt(HebbianOnHiddenStates, backbone, decay=0.5).memories[0].weights,
        rtol=1e-4,
        atol=1e-5,
    )


def test_hebbian_reads_windows_of_a_long_text_in_order(backbone: CausalLM) -> None:
    text = " ".join(TEXTS * 2)
    ids = backbone.tokenizer(text)["input_ids"]
    parts = [backbone.tokenizer.decode(ids[start : start + 16]) for start in range(0, len(ids), 16)]
    assert [token for part in parts for token in backbone.tokenizer(part)["input_ids"]] == ids
    cut, whole = (learnt(HebbianOnHiddenStates, backbone, texts=texts, window=16) for texts in (parts, [text]))
    torch.testing.assert_close(cut.memories[0].weights, whole.memories[0].weights, rtol=1e-4, atol=1e-5)


def test_hebbian_shuffles_examples_of_classes_by_the_seed(backbone: CausalLM) -> None:
    def weights(seed: int, decay: float = 0.95) -> Tensor:
        given = problem_shape(Kind.TEXT_CLASSIFICATION, n_way=2, seed=seed)
        method = HebbianOnHiddenStates(HebbianOnHiddenStates.Config(decay=decay), backbone, given)  # type: ignore[call-arg]
        method.observe(support([*PROMPTS, "Word: dull\nSentiment:"], labels=[0, 0, 1], names=NAMES))
        method.solve()
        found: Any = method.memories[0].weights
        return torch.as_tensor(found)

    found = [weights(seed) for seed in range(6)]
    assert torch.equal(found[0], weights(0))
    assert any(not torch.allclose(found[0], other, rtol=1e-3) for other in found[1:])
    assert torch.allclose(weights(0, 1.0), weights(1, 1.0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("strength", [1e-6, 1e-2, 10.0])
def test_ridge_shrinks_by_a_share_of_the_mean_eigenvalue(backbone: CausalLM, strength: float) -> None:
    keys, values = pairs(backbone, TEXTS)
    queries = states(backbone)
    penalty = strength * torch.linalg.eigvalsh(keys.mT @ keys).mean()
    # Least squares on rows to which the root of the penalty is appended.
    rows = torch.cat([keys, penalty.sqrt() * torch.eye(32, dtype=torch.float64)])
    targets = torch.cat([values, torch.zeros(32, 32, dtype=torch.float64)])
    weights = torch.linalg.lstsq(rows, targets, driver="gelsd").solution
    method = learnt(RidgeOnHiddenStates, backbone, strength=strength)
    assert_answers(method, queries, queries.double() @ weights)
    assert method.state_bytes() == 32 * 32 * 4


@EVERY
def test_perplexity_goes_through_the_memory(cls: type[HiddenStateMethod], backbone: CausalLM) -> None:
    method = learnt(cls, backbone)
    text = "very bad: a happy word"
    found = method.predict(query([text]))
    seen = read(backbone, text, backbone.final_norm)
    state = 0.1 * seen.inputs + 0.9 * method.memories[-1].read(seen.inputs[None])[0]
    each = backbone.model.get_output_embeddings()(backbone.final_norm(state)).log_softmax(dim=-1)
    expected = -each[:-1].gather(1, seen.ids[1:, None]).sum()
    torch.testing.assert_close(found[0, 0, 0].float(), expected.detach(), rtol=1e-4, atol=1e-3)
    assert not torch.allclose(found[0], backbone.loglikelihood_rolling([text], 32, None), atol=0.1)


@pytest.mark.slow
@EVERY
def test_answers_and_writing_go_through_the_memory(cls: type[HiddenStateMethod], backbone: CausalLM) -> None:
    method = learnt(cls, backbone, Kind.TEXT_CLASSIFICATION)
    scores = method.predict(query(PROMPTS, NAMES))
    before = backbone.loglikelihood("", PROMPTS, NAMES)
    assert scores.shape == (1, 2, 2)
    assert not torch.allclose(scores[0], before, atol=0.1)
    writer = learnt(cls, backbone, Kind.TEXT_GENERATION)
    plain = backbone.generate(PROMPTS, 8)
    assert writer.predict(query(PROMPTS)) != plain
    # Nothing stays behind.
    assert torch.equal(backbone.loglikelihood("", PROMPTS, NAMES), before)
    assert backbone.generate(PROMPTS, 8) == plain


@EVERY
def test_without_examples_the_model_answers_as_it_is(cls: type[HiddenStateMethod], backbone: CausalLM) -> None:
    found = learnt(cls, backbone, texts=[]).predict(query(TEXTS))
    torch.testing.assert_close(found[0], backbone.loglikelihood_rolling(TEXTS, 32, None))
