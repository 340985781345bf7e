"""FAAST's memories of tokens: of low rank, of answers alone, with residual values, and the share that they explain."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from bench.backbones.hf import CausalLM
from bench.contracts import Kind, UsageError
from bench.testing.tiny_models import save_model
from bench.toolkit.memory_pairs import memory_keys, residuals
from methods._token_weights import TokenWeights
from methods.faast import FaastOnHiddenStates, FaastOnHiddenStatesConfig
from methods.hebbian import HebbianOnHiddenStatesConfig
from tests.helpers.language import NAMES, PROMPTS, TEXTS, pairs, problem_shape, support

WIDTH = 12


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp("llama"), "llama"))


def some_pairs(n_pairs: int = 60) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    keys = torch.randn(1, n_pairs, WIDTH, generator=generator)
    return keys, keys.flip(-1) + torch.randn(1, n_pairs, WIDTH, generator=generator)


def solved(keys: Tensor, values: Tensor, rank: int | None = None) -> TokenWeights:
    memory = TokenWeights(WIDTH, alpha=1.0, rank=rank)
    mask = torch.ones(keys.shape[:2], dtype=torch.bool)
    for part in range(0, keys.shape[1], 25):
        memory.observe(*(each[:, part : part + 25] for each in (keys, values, mask)))
    memory.solve()
    return memory


@pytest.mark.parametrize("rank", [None, 3, WIDTH])
def test_the_nearest_map_of_a_rank_and_what_it_explains(rank: int | None) -> None:
    keys, values = some_pairs()
    memory = solved(keys, values, rank)
    whole = torch.linalg.lstsq(keys[0].double(), values[0].double()).solution.mT
    left, size, right = torch.linalg.svd(whole)
    kept = WIDTH if rank is None else rank
    expected = (left[:, :kept] * size[:kept]) @ right[:kept]
    recalled = memory.read(keys)[0].double()
    torch.testing.assert_close(recalled, keys[0].double() @ expected.mT, rtol=1e-4, atol=1e-5)
    explained = recalled.square().sum() / values.double().square().sum()
    assert memory.explained == pytest.approx(float(explained), rel=1e-5)
    assert 0 < memory.explained < 1


def test_a_low_rank_is_a_smaller_state_and_an_empty_memory_explains_nothing() -> None:
    keys, values = some_pairs()
    whole, low = solved(keys, values), solved(keys, values, 3)
    numbers = [sum(buffer.numel() for buffer in memory.buffers()) for memory in (whole, low)]
    assert numbers == [WIDTH**2, 2 * 3 * WIDTH]
    empty = TokenWeights(WIDTH, alpha=1.0)
    empty.solve()
    assert empty.explained is None
    assert not empty.read(keys).any()


def test_notes_have_the_share_that_each_memory_explains(backbone: CausalLM) -> None:
    method = FaastOnHiddenStates(FaastOnHiddenStatesConfig(), backbone, problem_shape())
    method.observe(support(TEXTS))
    method.solve()
    keys, values = pairs(backbone, TEXTS)
    recalled = method.memories[-1].read(keys[None].float())[0].double()
    (share,) = method.notes["explained_energy"]
    assert share == pytest.approx(float(recalled.square().sum() / values.square().sum()), abs=2e-4)


def test_pairs_of_answers_alone(backbone: CausalLM) -> None:
    """The pairs whose next token is the answer's, the same as of the whole text after the prompt's tokens."""
    names = NAMES
    shape = problem_shape(Kind.TEXT_CLASSIFICATION, n_way=2)
    method = FaastOnHiddenStates(FaastOnHiddenStatesConfig(pairs="answers"), backbone, shape)
    method.observe(support(PROMPTS, labels=[0, 1], names=names))
    method.solve()
    keys, values = [], []
    for prompt, answer in zip(PROMPTS, names, strict=True):
        text = prompt + answer + shape.separator
        found = pairs(backbone, [text])
        begun = len(backbone.tokenizer(prompt)["input_ids"])
        assert backbone.tokenizer(text)["input_ids"][:begun] == backbone.tokenizer(prompt)["input_ids"]
        keys.append(found[0][begun - 1 :])
        values.append(found[1][begun - 1 :])
    assert method.notes["support_tokens"] == sum(map(len, keys))
    joined, wanted = torch.cat(keys), torch.cat(values)
    weights = wanted.mT @ torch.linalg.pinv(joined, rcond=1 / len(joined)).mT
    queries = torch.randn(4, backbone.width, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        method.memories[-1].read(queries[None])[0].double(), queries.double() @ weights.mT, rtol=1e-3, atol=1e-3
    )


def test_pairs_of_answers_are_all_pairs_of_plain_texts(backbone: CausalLM) -> None:
    found = []
    for which in ("all", "answers"):
        method = FaastOnHiddenStates(FaastOnHiddenStatesConfig(pairs=which), backbone, problem_shape())
        method.observe(support(TEXTS))
        found.append(method.notes["support_tokens"])
    assert found[0] == found[1] > 0


def test_settings_that_cannot_be_served_are_refused(backbone: CausalLM) -> None:
    with pytest.raises(ValidationError, match="rank needs solver=exact"):
        FaastOnHiddenStatesConfig(rank=2, solver="published")
    with pytest.raises(ValidationError, match="pairs=answers needs decay=1"):
        HebbianOnHiddenStatesConfig(pairs="answers")
    shape = problem_shape(Kind.TEXT_CLASSIFICATION, n_way=2)
    method = FaastOnHiddenStates(FaastOnHiddenStatesConfig(pairs="answers", window=4), backbone, shape)
    with pytest.raises(UsageError, match="use a longer window or pairs=all"):
        method.observe(support(PROMPTS, labels=[0, 1], names=NAMES))


def test_residuals_are_the_gradient_of_the_likelihood_of_tied_embeddings(backbone: CausalLM) -> None:
    ids = torch.tensor([backbone.tokenizer(TEXTS[2])["input_ids"]])
    embedding, head = backbone.model.get_input_embeddings(), backbone.model.get_output_embeddings()
    kept = head.weight
    head.weight = embedding.weight
    try:
        last = torch.randn(1, ids.shape[1], backbone.width, generator=torch.Generator().manual_seed(2)).requires_grad_()
        likelihood = head(last[:, :-1]).log_softmax(dim=-1).gather(2, ids[:, 1:, None]).sum()
        (gradient,) = torch.autograd.grad(likelihood, last)
        torch.testing.assert_close(residuals(backbone, last, ids), gradient[:, :-1], rtol=1e-4, atol=1e-5)
    finally:
        head.weight = kept


def test_normed_keys_have_coordinates_of_size_one() -> None:
    states = torch.randn(2, 5, WIDTH) * 300
    torch.testing.assert_close(memory_keys(states, "normed").square().mean(dim=-1), torch.ones(2, 5))
    assert torch.equal(memory_keys(states, "state"), states)


def test_shuffled_pairs_have_the_values_of_other_positions(backbone: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sums of keys are the same, and each value is there once."""
    methods = [FaastOnHiddenStates(FaastOnHiddenStatesConfig(pairs=which), backbone, problem_shape())
               for which in ("all", "shuffled", "shuffled")]  # fmt: skip
    ids = torch.tensor([backbone.tokenizer(TEXTS[2] * 2)["input_ids"]])
    stored: list[tuple[Tensor, Tensor]] = []
    for method in methods:
        memory = method.memories[-1]
        monkeypatch.setattr(memory, "observe", lambda keys, values, mask: stored.append((keys[mask], values[mask])))
        method.learn(ids, torch.ones_like(ids))
    (keys, values), (same_keys, shuffled), (_, again) = stored
    assert torch.equal(keys, same_keys)
    assert torch.equal(shuffled, again)
    assert not torch.equal(values, shuffled)
    assert sorted(map(tuple, values.tolist())) == sorted(map(tuple, shuffled.tolist()))
