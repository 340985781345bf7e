"""kNN-LM against every distance computed by hand in float64, on three families with random weights."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from bench.backbones.hf import CausalLM
from bench.contracts import Kind, UsageError
from bench.testing.doubles import CosineBackbone
from bench.testing.tiny_models import save_model
from methods import _neighbours
from methods._neighbours import NeighbourStore
from methods.knn_lm import KnnLm, KnnLmConfig
from tests.helpers.language import NAMES, PROMPTS, TEXTS, problem_shape, query, read, support

TEXT = "very bad: a happy word"


@pytest.fixture(scope="module", params=["llama", "gpt2", "qwen2"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp(request.param), request.param))


def learnt(
    backbone: CausalLM, kind: Kind = Kind.LANGUAGE_MODELLING, texts: list[str] = TEXTS, n_way: int = 1, **config: Any
) -> KnnLm:
    method = KnnLm(KnnLmConfig(**config), backbone, problem_shape(kind, n_way))
    if texts:
        method.observe(support(texts))
    method.solve()
    return method


def feed_forward(backbone: CausalLM) -> Any:
    block: Any = backbone.blocks[-1]
    return block.mlp


def by_hand(backbone: CausalLM, text: str, k: int = 1024, lam: float = 0.25, tau: float = 1.0) -> Tensor:
    """Log-probabilities ``[position, token]`` of the mixture for a text, one neighbour after another."""
    found = [read(backbone, each, feed_forward(backbone)) for each in TEXTS]
    keys = torch.cat([each.inputs[:-1] for each in found]).double()
    following = torch.cat([each.ids[1:] for each in found]).tolist()
    seen = read(backbone, text, feed_forward(backbone))
    model = seen.logits.double().softmax(dim=-1)
    rows = []
    for state, alone in zip(seen.inputs.double(), model, strict=True):
        distances = (keys - state).square().sum(dim=-1)
        nearest = distances.argsort()[:k].tolist()
        total = sum(torch.exp((distances[nearest[0]] - distances[place]) / tau) for place in nearest)
        votes = torch.zeros_like(alone)
        for place in nearest:
            votes[following[place]] += torch.exp((distances[nearest[0]] - distances[place]) / tau) / total
        rows.append(lam * votes + (1 - lam) * alone)
    return torch.stack(rows).log()


@pytest.mark.slow
@pytest.mark.parametrize(
    "config", [{}, {"k": 3}, {"k": 1, "lam": 0.9}, {"k": 10, "lam": 0.5, "tau": 50.0}, {"lam": 0.0}], ids=str
)
def test_perplexity_is_that_of_the_mixture(backbone: CausalLM, config: dict[str, Any]) -> None:
    method = learnt(backbone, **config)
    texts = [TEXT, "Word: happy again, a longer text", "bad word"]
    scored = method.predict(query(texts))
    assert isinstance(scored, Tensor)
    for text, found in zip(texts, scored[0], strict=True):
        ids = torch.tensor(backbone.tokenizer(text)["input_ids"])
        each = by_hand(backbone, text, **config)[:-1].gather(1, ids[1:, None])
        torch.testing.assert_close(found[0].double(), -each.sum(), rtol=1e-4, atol=1e-3)
        assert found[1] == len(ids) - 1


def test_windows_are_scored_each_with_its_own_keys(backbone: CausalLM) -> None:
    method = learnt(backbone, k=5, lam=0.5)
    text = " ".join(TEXTS)
    ids = backbone.tokenizer(text)["input_ids"]
    with method.hooks_active():
        found = backbone.loglikelihood_rolling([text, TEXT], 12, 8)
    total, scored = 0.0, 1
    for start in range(0, len(ids), 8):
        part = ids[start : start + 12]
        each = by_hand(backbone, backbone.tokenizer.decode(part), k=5, lam=0.5)
        for place in range(scored - start, len(part)):
            total -= float(each[place - 1, part[place]])
        scored = start + len(part)
        if scored >= len(ids):
            break
    assert float(found[0, 0]) == pytest.approx(total, rel=1e-4)


@pytest.mark.slow
def test_answers_are_scored_by_the_mixture(backbone: CausalLM) -> None:
    method = learnt(backbone, Kind.TEXT_CLASSIFICATION, lam=0.5, k=7)
    answer = method.predict(query(PROMPTS, NAMES))
    assert isinstance(answer, Tensor)
    with method.hooks_active():
        cached = backbone.loglikelihood("Word: x\n", PROMPTS, NAMES)
    for row, prompt in enumerate(PROMPTS):
        for column, name in enumerate(NAMES):
            for context, found in (("", answer[0]), ("Word: x\n", cached)):
                stem = len(backbone.tokenizer(context + prompt)["input_ids"])
                ids = torch.tensor(backbone.tokenizer(context + prompt + name)["input_ids"])
                each = by_hand(backbone, context + prompt + name, lam=0.5, k=7)
                expected = each[stem - 1 : -1].gather(1, ids[stem:, None]).sum()
                torch.testing.assert_close(found[row, column].double(), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_writing_goes_on_as_the_nearest_text_did(backbone: CausalLM) -> None:
    before = backbone.generate(PROMPTS, 8)
    sources = ["Word: good\nIn German:", "Word: very bad\nIn German:"]
    method = KnnLm(KnnLmConfig(lam=0.999, k=1), backbone, problem_shape(Kind.TEXT_GENERATION, max_new_tokens=16))
    method.observe(support(sources, [" gut", " schlecht"]))
    method.solve()
    assert method.predict(query(sources)) == ["gut", "schlecht"]
    # Nothing stays behind.
    assert backbone.generate(PROMPTS, 8) == before


def test_store_keeps_each_pair_whose_next_token_is_real(backbone: CausalLM) -> None:
    method = learnt(backbone)
    count = sum(backbone.count_tokens(TEXTS)) - len(TEXTS)
    assert method.notes == {"stored_tokens": count, "search": "exact"}
    assert method.state_bytes() == count * (32 * 4 + 8)
    twice = KnnLm(KnnLmConfig(), backbone, problem_shape(Kind.LANGUAGE_MODELLING))
    for text in TEXTS:
        twice.observe(support([text]))
    twice.solve()
    found, other = (each.predict(query([TEXT])) for each in (twice, method))
    assert isinstance(found, Tensor)
    assert isinstance(other, Tensor)
    torch.testing.assert_close(found, other, rtol=1e-5, atol=1e-4)


def test_an_empty_store_leaves_the_model_alone(backbone: CausalLM) -> None:
    for texts in ([], ["x"]):  # one token has none that follows it
        method = learnt(backbone, texts=texts)
        assert method.notes["stored_tokens"] == 0
        found = method.predict(query(TEXTS))
        assert isinstance(found, Tensor)
        torch.testing.assert_close(found[0], backbone.loglikelihood_rolling(TEXTS, 32, None))


def test_an_index_that_looks_everywhere_agrees_with_exact_search(
    backbone: CausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = learnt(backbone, k=4).predict(query([TEXT]))
    monkeypatch.setattr(_neighbours, "EXACT_BELOW", 10)
    method = learnt(backbone, k=4, probes=10_000)
    assert method.notes["search"] == "FAISS, 10000 cells"
    assert method.state_bytes() > method.notes["stored_tokens"] * 32 * 4
    found = method.predict(query([TEXT]))
    assert isinstance(found, Tensor)
    assert isinstance(exact, Tensor)
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_from_a_hundred_thousand_keys_on_there_is_an_index_that_agrees_with_exact_search() -> None:
    rng = torch.Generator().manual_seed(0)
    keys, queries = torch.randn(100_000, 4, generator=rng), torch.randn(20, 4, generator=rng)

    def store(count: int, probes: int) -> NeighbourStore:
        made = NeighbourStore(4, probes)
        for part in (slice(0, 60_000), slice(60_000, count)):
            made.add(keys[part], torch.arange(count)[part])
        made.build()
        return made

    expected = torch.cdist(queries.double(), keys.double()).square()
    exact = store(99_999, 32)
    assert not exact.indexed
    assert torch.equal(neighbours(exact, queries), expected[:, :99_999].argsort(dim=1)[:, :10].sort(dim=1).values)
    nearest = expected.argsort(dim=1)[:, :10].sort(dim=1).values
    everywhere, few = store(100_000, 10_000), store(100_000, 32)
    for indexed in (everywhere, few):
        assert indexed.indexed
        assert len(indexed) == 100_000
        distances, found = indexed.nearest(queries, 10)
        torch.testing.assert_close(distances.double(), expected.gather(1, found), rtol=1e-4, atol=1e-6)
    assert torch.equal(neighbours(everywhere, queries), nearest)
    # Of the cells, 32 of 1,264 are looked through.
    missed = sum(len(set(ours) - set(theirs)) for ours, theirs in zip(nearest.tolist(), found.tolist(), strict=True))
    assert missed <= 0.1 * nearest.numel()


def neighbours(store: NeighbourStore, queries: Tensor) -> Tensor:
    """Tokens of the ten nearest, in order of their number."""
    return store.nearest(queries, 10)[1].sort(dim=1).values


def test_an_index_finds_most_neighbours_and_says_where_it_found_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = torch.Generator().manual_seed(0)
    keys, queries = torch.randn(3000, 8, generator=rng), torch.randn(50, 8, generator=rng)
    tokens = torch.arange(3000)

    def store(probes: int) -> NeighbourStore:
        made = NeighbourStore(8, probes)
        made.add(keys, tokens)
        made.build()
        return made

    expected = torch.cdist(queries.double(), keys.double()).square()
    exact_distances, exact = store(32).nearest(queries, 10)
    torch.testing.assert_close(exact_distances.double(), expected.gather(1, exact), rtol=1e-4, atol=1e-5)
    assert torch.equal(exact.sort(dim=1).values, expected.argsort(dim=1)[:, :10].sort(dim=1).values)
    monkeypatch.setattr(_neighbours, "EXACT_BELOW", 3000)
    indexed = store(32)
    assert indexed.indexed
    distances, found = indexed.nearest(queries, 10)
    torch.testing.assert_close(distances.double(), expected.gather(1, found), rtol=1e-4, atol=1e-5)
    shared = sum(len(set(ours) & set(theirs)) for ours, theirs in zip(found.tolist(), exact.tolist(), strict=True))
    assert shared > 0.9 * exact.numel()
    distances, _ = store(1).nearest(queries, 2000)
    assert distances.isinf().any()
    assert not distances.isnan().any()


def test_bad_settings_and_backbones_are_refused(backbone: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ({"k": 0}, {"lam": 1.0}, {"tau": 0.0}):
        with pytest.raises(ValidationError):
            KnnLmConfig(**wrong)
    with pytest.raises(UsageError, match="CosineBackbone"):
        KnnLm(KnnLmConfig(), CosineBackbone(), problem_shape())
    monkeypatch.setattr("methods._block_parts.FEED_FORWARD", ("unheard_of",))
    with pytest.raises(UsageError, match="unheard_of"):
        KnnLm(KnnLmConfig(), backbone, problem_shape())
