"""In-place test-time training: its forms by hand, what may influence what, and states of texts and support sets."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.backbones.hf import CausalLM
from bench.contracts import DataError, Kind, UsageError
from bench.testing.doubles import CosineBackbone
from bench.testing.tiny_models import save_model
from bench.toolkit.in_place import InPlaceLayers, feed_forward
from bench.toolkit.in_place_chunks import InPlaceParts, chunk_values, read_in_chunks
from bench.toolkit.in_place_files import read_in_place, write_in_place
from methods.in_place_ttt import InPlaceTtt, InPlaceTttConfig
from tests.helpers.language import NAMES, TEXTS, problem_shape, query, support

CHUNK, LENGTH, WIDTH = 5, 23, 32


@pytest.fixture(scope="module", params=["llama", "gpt2", "qwen2"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp(request.param), request.param)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp("one"), "llama")).eval().requires_grad_(False)


def random_parts(scale: float = 1.0, width: int = WIDTH) -> InPlaceParts:
    rng = torch.Generator().manual_seed(1)
    return InPlaceParts(
        scale * torch.randn(width, 1, 5, generator=rng), torch.randn(width, width, generator=rng) / width**0.5
    )


def layers(backbone: CausalLM, parts: InPlaceParts | None = None, **options: Any) -> InPlaceLayers:
    given: dict[str, Any] = {"chunk": CHUNK, "target": "hidden"} | options
    return InPlaceLayers(backbone, [0, 1], [parts or random_parts()] * 2, [0.05, 0.05], **given)


def ids_of(length: int = LENGTH, seed: int = 0, n_texts: int = 1) -> Tensor:
    return torch.randint(3, 200, (n_texts, length), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def logits(backbone: CausalLM, ids: Tensor, fast: InPlaceLayers | None = None, **options: Any) -> Tensor:
    def run() -> Tensor:
        hidden = backbone.decoder(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).last_hidden_state
        found: Tensor = backbone.model.get_output_embeddings()(hidden)
        return found

    if fast is None:
        return run()
    with fast.active(**options):
        return run()


@pytest.mark.parametrize("length", [CHUNK - 1, CHUNK, LENGTH])
@pytest.mark.parametrize("target", ["hidden", "embedding"])
def test_a_convolution_of_zeros_is_the_model_alone(backbone: CausalLM, length: int, target: str) -> None:
    ids = ids_of(length)
    assert torch.equal(logits(backbone, ids, layers(backbone, random_parts(0.0), target=target)), logits(backbone, ids))


def test_a_text_of_one_chunk_is_read_by_the_model_alone(backbone: CausalLM) -> None:
    ids = ids_of()
    assert torch.equal(logits(backbone, ids, layers(backbone, chunk=LENGTH)), logits(backbone, ids))
    assert not torch.allclose(logits(backbone, ids, layers(backbone)), logits(backbone, ids), atol=1e-3)


def test_chunks_in_turn_equal_a_prefix_sum_and_attention() -> None:
    """The three forms of the paper, the other two by loops in float64."""
    rng, rate = np.random.default_rng(0), 0.3
    targets, hidden, taps = rng.normal(size=(LENGTH, 4)), rng.normal(size=(LENGTH, 6)), rng.normal(size=(4, 5))
    proj = rng.normal(size=(4, 4))
    parts = InPlaceParts(torch.tensor(taps)[:, None], torch.tensor(proj))
    values = chunk_values(torch.tensor(targets)[None], parts, CHUNK)
    found, state = read_in_chunks(torch.tensor(hidden)[None], rate * values, None, CHUNK)

    mixed = np.zeros_like(targets)
    for place in range(LENGTH):
        for tap in range(5):
            other = place + tap - 2
            if 0 <= other < LENGTH and other // CHUNK == place // CHUNK:
                mixed[place] += taps[:, tap] * targets[other]
    z = mixed @ proj
    np.testing.assert_allclose(values[0], z, atol=1e-10)
    chunks = [slice(start, start + CHUNK) for start in range(0, LENGTH, CHUNK)]
    changes = [rate * z[part].T @ hidden[part] for part in chunks]
    sums = np.cumsum([np.zeros((4, 6)), *changes], axis=0)
    by_sum = np.concatenate([hidden[part] @ sums[number].T for number, part in enumerate(chunks)])
    by_attention = np.zeros_like(targets)
    for one in range(LENGTH):
        for other in range(one // CHUNK * CHUNK):
            by_attention[one] += rate * z[other] * (hidden[other] @ hidden[one])
    np.testing.assert_allclose(found[0], by_sum, atol=1e-10)
    np.testing.assert_allclose(found[0], by_attention, atol=1e-10)
    assert state is not None
    np.testing.assert_allclose(state[0], sums[LENGTH // CHUNK], atol=1e-10)  # the last chunk is not full
    _, limited = read_in_chunks(torch.tensor(hidden)[None], rate * values, None, CHUNK, 0.7)
    assert limited is not None
    assert float(torch.linalg.vector_norm(limited)) == pytest.approx(0.7)


@pytest.mark.parametrize("attention", ["full", "chunk"])
def test_a_token_changes_nothing_before_it(backbone: CausalLM, attention: str) -> None:
    ids = ids_of()
    for place in (2, 9, 10, 17):
        other = ids.clone()
        other[0, place] += 1
        one, two = (logits(backbone, each, layers(backbone, attention=attention)) for each in (ids, other))
        assert torch.equal(one[:, :place], two[:, :place])
        assert not torch.equal(one[:, place], two[:, place])


def test_nothing_but_the_state_crosses_a_border(backbone: CausalLM) -> None:
    """Attention in chunks: each chunk's logits are those of the chunk alone, read by the states before it."""
    ids, fast = ids_of(3 * CHUNK), layers(backbone, attention="chunk")
    together = logits(backbone, ids, fast)
    alone = layers(backbone)
    for start in range(0, 3 * CHUNK, CHUNK):
        part = logits(backbone, ids[:, start : start + CHUNK], alone)
        torch.testing.assert_close(part, together[:, start : start + CHUNK], rtol=1e-4, atol=1e-4)
        alone.start = list(alone.states)
    for one, two in zip(alone.states, fast.states, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)
    # The last token of a chunk has no part in what the next chunk adds in the first block.
    other = ids.clone()
    other[0, CHUNK - 1] += 1
    changes = []
    for each in (ids, other):
        one, two = layers(backbone, attention="chunk"), layers(backbone, attention="chunk")
        logits(backbone, each[:, CHUNK:], one)
        logits(backbone, each, two)
        changes.append((one.states[0], two.states[0]))
    assert torch.equal(changes[0][0], changes[1][0])  # type: ignore[arg-type]
    assert not torch.equal(changes[0][1], changes[1][1])  # type: ignore[arg-type]


def test_texts_of_a_batch_have_states_of_their_own(backbone: CausalLM) -> None:
    ids, fast = ids_of(n_texts=2), layers(backbone)
    together = logits(backbone, ids, fast)
    for row in range(2):
        torch.testing.assert_close(logits(backbone, ids[row : row + 1], fast)[0], together[row], rtol=1e-4, atol=1e-4)
    # Rows that are consecutive windows are one text to the fast weights, whatever batches they come in.
    windows = ids_of(2 * CHUNK, n_texts=3)
    joined = logits(backbone, windows, fast, joined=True)
    with fast.active(joined=True), torch.no_grad():
        for row in range(3):
            hidden = backbone.decoder(input_ids=windows[row : row + 1], use_cache=False).last_hidden_state
            one = backbone.model.get_output_embeddings()(hidden)[0]
            torch.testing.assert_close(one, joined[row], rtol=1e-4, atol=1e-4)


def test_recall_by_hand() -> None:
    """16 symbols as they are, values the next symbols: the state after two chunks is a table of successors."""
    shown = [*range(8), *range(9, 16), 8]
    wanted = [2, 4, 0, 6, 9, 11, 13, 15]
    symbols = torch.eye(16)[torch.tensor(shown + wanted)][None]
    conv = torch.zeros(16, 1, 5)
    conv[:, :, 3] = 1
    values = chunk_values(symbols, InPlaceParts(conv, torch.eye(16)), 8)
    answers, _ = read_in_chunks(symbols, values, None, 8)
    assert answers[0, 16:].argmax(dim=1).tolist() == [3, 5, 1, 7, 10, 12, 14, 8]
    assert (values[0, 7::8] == 0).all()  # the last symbol of a chunk has no successor there


def adapted(backbone: CausalLM, kind: Kind, n_way: int = 1, **config: Any) -> InPlaceTtt:
    method = InPlaceTtt(InPlaceTttConfig(**({"chunk": 8} | config)), backbone, problem_shape(kind, n_way))
    if n_way > 1:
        method.observe(support(TEXTS, labels=[0, 1, 0], names=NAMES))
    else:
        method.observe(support(TEXTS))
    method.solve()
    return method


PROMPT = "Word: a longer one, happy or awful\nSentiment:"
LONG = "very good, very bad: indeed, and awful words again"


def scored(method: InPlaceTtt) -> Tensor:
    text = method.shape.kind is Kind.LANGUAGE_MODELLING
    with torch.no_grad():
        found = method.predict(query([LONG]) if text else query([PROMPT], NAMES))
    assert isinstance(found, Tensor)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Kind.TEXT_CLASSIFICATION, Kind.LANGUAGE_MODELLING])
def test_scopes_and_the_control_without_a_rate(backbone: CausalLM, kind: Kind) -> None:
    n_way = 2 if kind is Kind.TEXT_CLASSIFICATION else 1
    own = {"share": 0.3, "cap": 1.0}
    plain = adapted(backbone, kind, n_way, lr=0.0)
    alone = (
        backbone.loglikelihood("", [PROMPT], NAMES)[None]
        if n_way > 1
        else backbone.loglikelihood_rolling([LONG], 32, None)[None]
    )
    assert torch.equal(scored(plain), alone)
    scopes = ("support", "query", "both")
    found = {scope: scored(adapted(backbone, kind, n_way, scope=scope, **own)) for scope in scopes}
    for one, two in (("support", "query"), ("query", "both"), ("support", "both")):
        assert not torch.allclose(found[one], found[two], atol=1e-4)
    assert all(not torch.allclose(each, alone, atol=1e-4) for each in found.values())
    for scope in scopes:
        method = adapted(backbone, kind, n_way, scope=scope, **own)
        first = scored(method)
        assert torch.equal(scored(method), first)  # a query leaves no state
        state = 4 * WIDTH * backbone.config.to_dict().get("intermediate_size", 4 * WIDTH)
        assert method.state_bytes() == (0 if scope == "query" else state)
        assert method.notes["form"].startswith("untrained")
        assert ("support_state_norms" in method.notes) == (scope != "query")
        assert (method.notes["query_updates"] > 0) == (scope != "support")


def test_answers_are_read_by_the_states_of_their_prompt(llama: CausalLM) -> None:
    """Log-probabilities of a shared prompt equal those of one plain pass where no chunk ends within an answer."""
    method = adapted(llama, Kind.TEXT_CLASSIFICATION, 2, scope="query", share=0.3, cap=1.0, attention="chunk", chunk=9)
    found = scored(method)[0, 0]
    stem = len(llama.tokenizer(PROMPT)["input_ids"])
    for column, name in enumerate(NAMES):
        ids = torch.tensor([llama.tokenizer(PROMPT + name)["input_ids"]])
        assert (stem - 1) // 9 == (ids.shape[1] - 2) // 9
        each = logits(llama, ids, method.layers)[0].log_softmax(dim=-1)
        expected = each[stem - 1 : -1].gather(1, ids[0, stem:, None]).sum()
        torch.testing.assert_close(found[column], expected, rtol=1e-4, atol=1e-4)


def test_states_are_carried_over_the_windows_of_a_text(llama: CausalLM) -> None:
    method = adapted(llama, Kind.LANGUAGE_MODELLING, scope="query", share=0.3, cap=1.0, carry=True)
    text = LONG * 4
    found, expected = method.predict(query([LONG, text]))[0, 1], 0.0  # type: ignore[index]
    windows = list(llama.tokens([text], 32))
    with method.layers.active(joined=True), torch.no_grad():
        for batch in windows:
            for row, mask in zip(batch.ids, batch.mask, strict=True):
                ids = row[: int(mask.sum())][None]
                hidden = llama.decoder(input_ids=ids, use_cache=False).last_hidden_state
                each = llama.model.get_output_embeddings()(hidden)[0, :-1].log_softmax(dim=-1)
                expected -= float(each.gather(1, ids[0, 1:, None]).sum())
    assert float(found[0]) == pytest.approx(expected, rel=1e-4)
    apart = adapted(llama, Kind.LANGUAGE_MODELLING, scope="query", share=0.3, cap=1.0).predict(query([LONG, text]))
    assert abs(float(found[0] - apart[0, 1, 0])) > 1e-3  # type: ignore[index]
    with pytest.raises(UsageError, match="windows of 32 tokens; use another chunk"):
        adapted(llama, Kind.LANGUAGE_MODELLING, carry=True, chunk=7).predict(query([text]))


def test_the_first_chunk_adds_its_share_to_the_second(llama: CausalLM) -> None:
    method = adapted(llama, Kind.LANGUAGE_MODELLING, scope="query", share=0.2, cap=1e6)
    ids = next(iter(llama.tokens(["".join(TEXTS)], 16))).ids[:1]
    fast = method.layers
    fast.forget_measures()
    # The last block alone sees what it saw when the rates were set: with one block there is nothing before it.
    logits(llama, ids, fast)
    assert float(fast.shares[0][0]) == pytest.approx(0.2, rel=1e-3)


def test_weights_of_a_file_and_what_is_refused(llama: CausalLM, tmp_path: Path) -> None:
    path = tmp_path / "in_place.safetensors"
    write_in_place(path, {0: random_parts(), 1: random_parts()}, {"target": "hidden", "memory_rate": 0.05, "chunk": 8})
    method = adapted(llama, Kind.LANGUAGE_MODELLING, weights=path, scope="query")
    assert method.notes["form"].startswith("trained: ")
    assert method.state_bytes() == 2 * 4 * (5 * WIDTH + WIDTH**2)
    sums = llama.loglikelihood_rolling([LONG], 32, None)
    with layers(llama, chunk=8).active():
        expected = llama.loglikelihood_rolling([LONG], 32, None)
    torch.testing.assert_close(scored(method)[0], expected)
    assert not torch.allclose(expected, sums, atol=1e-3)
    with pytest.raises(DataError, match=r"layers\.0\.mlp\.ttt_conv\.weight in .* must have shape \(16, 1, 5\)"):
        read_in_place(path, 16)
    with pytest.raises(UsageError, match="needs a language model, got CosineBackbone"):
        InPlaceTtt(InPlaceTttConfig(), CosineBackbone(), problem_shape())
    with pytest.raises(UsageError, match="blocks from 0 to 1"):
        InPlaceLayers(llama, [0, 2], [random_parts()] * 2, [0.1] * 2, chunk=8, target="hidden")
    with pytest.raises(UsageError, match=r"mlp\.down_proj .* got Module"):
        feed_forward(torch.nn.Module())
