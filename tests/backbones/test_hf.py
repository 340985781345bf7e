"""Three model families with random weights and a tokenizer trained here: no network, no packages."""

import copy
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM
from transformers.integrations import sdpa_attention

from bench import registry
from bench.backbones import _branches, _scoring
from bench.backbones._branches import score_branches
from bench.backbones.hf import PLUGIN, CausalLM
from bench.contracts import Classes, DataError, LanguageBackbone, UsageError
from bench.testing.doubles import FakeLanguageModel
from bench.testing.language_backbone_contract import reads_of
from bench.testing.tiny_models import save_model

ANSWERS = (" negative", " positive")


@pytest.fixture(scope="module", params=["llama", "gpt2", "qwen2"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return PLUGIN(str(save_model(tmp_path_factory.mktemp(request.param), request.param)))


PROMPTS = ["Word: happy\nSentiment:", "Word: x\nSentiment:", "Word: a much longer one\nSentiment:"]


def logits(backbone: CausalLM, text: str) -> torch.Tensor:
    ids = torch.tensor([backbone.tokenizer(text)["input_ids"]])
    with torch.no_grad():
        found: torch.Tensor = backbone.model(input_ids=ids).logits[0]
    return found


def test_zero_shot_scores_are_the_models_logits(backbone: CausalLM) -> None:
    features = backbone.encode(backbone.collate([backbone.prepare(prompt) for prompt in PROMPTS]))
    values = backbone.class_embeddings(ANSWERS, ["{label}"])
    scores = backbone.class_logits(features.prior[None], Classes(values[None], (ANSWERS,)))[0]
    tokens = [backbone.tokenizer(answer)["input_ids"][0] for answer in ANSWERS]
    expected = torch.stack([logits(backbone, prompt)[-1, tokens] for prompt in PROMPTS])
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(features.keys.norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(features.keys, torch.nn.functional.normalize(features.prior, dim=-1))


def test_features_do_not_depend_on_the_batch_or_a_padding_token(backbone: CausalLM) -> None:
    backbone.tokenizer.pad_token = None
    prepared = [backbone.prepare(prompt) for prompt in PROMPTS]
    together = backbone.encode(backbone.collate(prepared))
    alone = [backbone.encode(backbone.collate([ids])) for ids in prepared]
    torch.testing.assert_close(together.keys, torch.cat([one.keys for one in alone]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.prior, torch.cat([one.prior for one in alone]), rtol=1e-4, atol=1e-5)


def test_a_prior_is_about_as_long_as_a_value(backbone: CausalLM) -> None:
    features = backbone.encode(backbone.collate([backbone.prepare(prompt) for prompt in PROMPTS]))
    rows = backbone.model.get_output_embeddings().weight
    ratio = features.prior.norm(dim=-1).mean() / rows.norm(dim=-1).mean()
    assert 0.8 < ratio < 1.25


@pytest.mark.slow
@pytest.mark.parametrize("context", ["", "Word: good\nSentiment: positive\n"])
@pytest.mark.parametrize(
    "answers", [ANSWERS, (" very good", " very bad indeed", " positive"), ("happy", "s")], ids=["one", "many", "merged"]
)
def test_cached_context_scores_as_the_joined_text(backbone: CausalLM, context: str, answers: tuple[str, ...]) -> None:
    found = backbone.loglikelihood(context, PROMPTS, answers)
    assert found.shape == (len(PROMPTS), len(answers))
    for row, prompt in zip(found, PROMPTS, strict=True):
        stem = backbone.tokenizer(context + prompt)["input_ids"]
        for score, answer in zip(row, answers, strict=True):
            ids = backbone.tokenizer(context + prompt + answer)["input_ids"]
            assert ids[: len(stem)] == stem
            steps = logits(backbone, context + prompt + answer).log_softmax(dim=-1)
            expected = sum(steps[position - 1, ids[position]] for position in range(len(stem), len(ids)))
            torch.testing.assert_close(score, torch.as_tensor(expected), rtol=1e-4, atol=1e-4)


def test_keys_that_heads_share_are_read_in_place_with_the_same_scores(
    backbone: CausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies, repeat_kv = [], sdpa_attention.repeat_kv

    def counted(states: torch.Tensor, times: int) -> torch.Tensor:
        copies.append(times)
        return repeat_kv(states, times)

    monkeypatch.setattr(sdpa_attention, "repeat_kv", counted)
    found = backbone.loglikelihood("Word: good\nSentiment: positive\n", PROMPTS, ANSWERS)
    assert not copies
    monkeypatch.setattr("bench.backbones.hf.keys_in_place", lambda device: nullcontext())
    assert backbone.loglikelihood("Word: good\nSentiment: positive\n", PROMPTS, ANSWERS).equal(found)
    assert bool(copies) == (backbone.model.config.model_type != "gpt2")  # whose heads share none


def test_short_texts_after_a_long_context_are_one_row_unless_a_hook_could_mix_them(
    backbone: CausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, prompts = "Word: good\nSentiment: positive\n" * 5, ["x", "a b", "b", "a"]
    shapes: list[Any] = []
    run = backbone.model.base_model.forward

    def counted(input_ids: torch.Tensor, **inputs: Any) -> Any:
        shapes.append(tuple(input_ids.shape))
        return run(input_ids=input_ids, **inputs)

    monkeypatch.setattr(backbone.model.base_model, "forward", counted)
    found = backbone.loglikelihood(context, prompts, ANSWERS)
    (_, shared), together = shapes
    with reads_of(backbone.blocks[0]):
        apart = backbone.loglikelihood(context, prompts, ANSWERS)
    lengths = [len(backbone.tokenizer(context + prompt)["input_ids"]) - shared for prompt in prompts]
    assert together == (1, sum(lengths))
    assert shapes[2:] == [(1, shared), (len(prompts), max(lengths))]
    torch.testing.assert_close(apart, found, rtol=1e-5, atol=1e-5)


def test_answers_that_begin_alike_are_scored_by_all_their_tokens(backbone: CausalLM) -> None:
    """One answer is the beginning of the next: the sum over a plain forward pass of each text, on its own."""
    answers = (" very", " very good", " very good indeed", " very bad")
    context = "Word: good\nSentiment: positive\n"
    tokens = [backbone.tokenizer(answer)["input_ids"] for answer in answers]
    assert len({ids[0] for ids in tokens}) == 1
    assert len({len(ids) for ids in tokens}) == 3
    found = backbone.loglikelihood(context, PROMPTS, answers)
    for row, prompt in zip(found, PROMPTS, strict=True):
        stem = backbone.tokenizer(context + prompt)["input_ids"]
        for score, answer in zip(row, tokens, strict=True):
            ids = torch.tensor([stem + answer])
            with torch.no_grad():
                each = backbone.model(input_ids=ids).logits[0].log_softmax(dim=-1)
            expected = sum(float(each[len(stem) - 1 + index, token]) for index, token in enumerate(answer))
            assert float(score) == pytest.approx(expected, rel=1e-4)
    # A longer answer of the same beginning cannot be likelier.
    assert bool((found[:, 0] > found[:, 1]).all())
    assert bool((found[:, 1] > found[:, 2]).all())


def test_an_answer_whose_tokens_begin_a_longer_one_has_no_row_of_its_own(backbone: CausalLM) -> None:
    answers = (" negative", " very bad", " very bad indeed", " positive")
    tokens = [backbone.tokenizer(answer)["input_ids"] for answer in answers]
    assert sorted(map(len, tokens)) == [1, 1, 2, 3]
    with reads_of(backbone.blocks[0]) as seen:
        found = backbone.loglikelihood("", PROMPTS[:1], answers)
    stem = backbone.tokenizer(PROMPTS[0])["input_ids"]
    assert sum(states.shape[0] * states.shape[1] for states in seen) == len(stem) + 2
    for score, answer in zip(found[0], tokens, strict=True):
        with torch.no_grad():
            each = backbone.model(input_ids=torch.tensor([stem + answer])).logits[0].log_softmax(dim=-1)
        expected = sum(float(each[len(stem) - 1 + index, token]) for index, token in enumerate(answer))
        assert float(score) == pytest.approx(expected, rel=1e-4)


MANY = tuple(f" {one}{two}{three}" for one in ("very", "so") for two in ("", " good", " bad") for three in ("", " x"))
"""Answers of which many begin alike, and some are the beginning of others."""


@pytest.mark.slow
@pytest.mark.parametrize("context", ["", "Word: good\nSentiment: positive\n"])
def test_many_answers_as_a_tree_are_scored_as_each_of_them(
    backbone: CausalLM, context: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [*PROMPTS, "Word: happy\nSentiment: very"]
    trees: list[int] = []

    def counted(*args: Any) -> torch.Tensor:
        trees.append(len(args[3]))
        return score_branches(*args)

    monkeypatch.setattr(_scoring, "score_branches", counted)
    monkeypatch.setattr(_scoring, "PASS_ON_CPU", 0)
    found = backbone.loglikelihood(context, prompts, MANY)
    assert trees == [len(MANY)] * len(prompts)
    monkeypatch.setattr(_branches, "CACHE_TOKENS", 1)  # an answer at a time
    torch.testing.assert_close(backbone.loglikelihood(context, prompts, MANY), found, rtol=1e-5, atol=1e-5)
    monkeypatch.setattr(_scoring, "FEW_ROWS", len(MANY))
    trees.clear()
    torch.testing.assert_close(backbone.loglikelihood(context, prompts, MANY), found, rtol=1e-5, atol=1e-5)
    assert trees == []


def test_the_tokens_of_a_tree_are_run_once_each(backbone: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prompt and each distinct beginning of an answer, without its last token."""
    stem = backbone.tokenizer(PROMPTS[0])["input_ids"]
    answers = {tuple(backbone.tokenizer(PROMPTS[0] + answer)["input_ids"][len(stem) :]) for answer in MANY}
    beginnings = {answer[:length] for answer in answers for length in range(1, len(answer))}
    monkeypatch.setattr(_scoring, "PASS_ON_CPU", 0)
    with reads_of(backbone.blocks[0]) as seen:
        backbone.loglikelihood("", PROMPTS[:1], MANY)
    assert sum(states.shape[0] * states.shape[1] for states in seen) == len(stem) + len(beginnings)


def test_answers_that_change_the_prompts_tokens_are_compared_from_where_they_part(backbone: CausalLM) -> None:
    prompt = "Word: happy\nSentiment: posi"
    stem, whole = (backbone.tokenizer(text)["input_ids"] for text in (prompt, prompt + "tive"))
    assert whole[: len(stem)] != stem
    found = backbone.loglikelihood("", [prompt], ["tive", "nd"])[0]
    other = backbone.tokenizer(prompt + "nd")["input_ids"]
    start = next(index for index, (one, two) in enumerate(zip(whole, stem, strict=False)) if one != two)
    for score, ids, text in zip(found, (whole, other), ("tive", "nd"), strict=True):
        steps = logits(backbone, prompt + text).log_softmax(dim=-1)
        expected = sum(steps[position - 1, ids[position]] for position in range(start, len(ids)))
        torch.testing.assert_close(score, torch.as_tensor(expected), rtol=1e-4, atol=1e-4)


def test_what_does_not_fit_is_named_with_its_length(backbone: CausalLM) -> None:
    assert backbone.context_length == 64
    with pytest.raises(DataError, match="1 to 64 tokens, got 65, 1 too many"):
        backbone.prepare("x" * 65)
    with pytest.raises(DataError, match=r"must fit 64 tokens .* of context.*; use fewer shots"):
        backbone.loglikelihood("x " * 40, PROMPTS, ANSWERS)
    advice = "got 66, 2 too many: 65 of prompt 'x.*1 of answer; shorten the text"
    with pytest.raises(DataError, match=advice):
        backbone.loglikelihood("", ["x" * 65], ANSWERS)
    with pytest.raises(DataError, match=r"a token or more of .*got ''"):
        backbone.prepare("")
    with pytest.raises(DataError, match="got int"):
        backbone.prepare(3)
    with pytest.raises(DataError, match="and 0 of the shortest answer"):
        backbone.loglikelihood("", PROMPTS, ["", " positive"])


def test_room_that_an_adapted_copy_keeps_is_not_for_texts(backbone: CausalLM) -> None:
    kept = copy.copy(backbone)
    kept.reserved = 10
    assert (kept.context_length, kept.max_positions, backbone.context_length) == (54, 64, 64)
    text = "x" * 55
    assert backbone.count_tokens([text]) == [55]
    assert len(backbone.prepare(text)) == 55
    with pytest.raises(DataError, match="1 to 54 tokens, got 55"):
        kept.prepare(text)
    assert [batch.ids.shape for batch in kept.tokens([text])] == [(2, 54)]
    assert int(kept.loglikelihood_rolling([text], 64, None)[0, 1]) == 53
    with pytest.raises(DataError, match="must fit 54 tokens"):
        kept.generate(["x" * 50], 5)


def test_every_language_backbone_can_keep_room() -> None:
    model = FakeLanguageModel(context_length=100)
    assert (LanguageBackbone.reserved, model.context_length) == (0, 100)
    model.reserved = 30
    assert (model.context_length, model.max_positions) == (70, 100)


def test_answers_of_several_tokens_are_the_mean_of_their_embeddings(backbone: CausalLM) -> None:
    answers = (" positive", " very bad", " very good")
    found = backbone.class_embeddings(answers, ["{label}"])
    weight = backbone.model.get_output_embeddings().weight
    for row, answer in zip(found, answers, strict=True):
        assert torch.equal(row, weight[backbone.tokenizer(answer)["input_ids"]].mean(dim=0))
    said = "mean of an answer's token embeddings: 2 of 3 answers have 2 to 2 tokens"
    assert backbone.class_embeddings_note(answers, ["{label}"]) == said
    assert backbone.class_embeddings_note(ANSWERS, ["{label}"]) is None


def test_answers_need_tokens_of_their_own(backbone: CausalLM) -> None:
    for answers in ((" positive", " positive"), (" good bad", " bad good")):
        with pytest.raises(UsageError, match="must have different tokens"):
            backbone.class_embeddings(answers, ["{label}"])
    with pytest.raises(UsageError, match="tokens of its own, got ''"):
        backbone.class_embeddings(["", " positive"], ["{label}"])
    with pytest.raises(UsageError, match="one prompt per answer, got 2"):
        backbone.class_embeddings(ANSWERS, ["{label}", "so {label}"])


def test_counts_and_lengths_are_the_tokenizers(backbone: CausalLM) -> None:
    assert backbone.count_tokens(PROMPTS) == [len(backbone.prepare(prompt)) for prompt in PROMPTS]


def test_fingerprint_follows_the_weights(tmp_path: Path) -> None:
    first = PLUGIN(save_model(tmp_path / "a", "llama")).fingerprint
    assert PLUGIN(save_model(tmp_path / "b", "llama")).fingerprint == first
    assert PLUGIN(save_model(tmp_path / "c", "llama", change=0.01)).fingerprint != first


def test_logits_that_are_not_a_product_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_model(tmp_path, "llama")
    plain = LlamaForCausalLM.forward

    def capped(self: Any, *args: Any, **kwargs: Any) -> Any:
        output = plain(self, *args, **kwargs)
        output.logits = 0.1 * (output.logits / 0.1).tanh()
        return output

    monkeypatch.setattr(LlamaForCausalLM, "forward", capped)
    with pytest.raises(UsageError, match="hidden state times output embedding"):
        PLUGIN(folder).require_runnable()


def test_models_that_cannot_be_had_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"needs weights as \*\.safetensors"):
        PLUGIN(tmp_path)
    monkeypatch.setattr("bench.toolkit.sources.HfApi.repo_info", _no_network)
    with pytest.raises(DataError, match="local folder") as caught:
        PLUGIN("nobody/no-such-model")
    assert "\n" not in str(caught.value)


def _no_network(*_: Any, **__: Any) -> Any:
    raise ConnectionError("no network\nin this test")


def test_a_broken_weights_file_is_one_line(tmp_path: Path) -> None:
    folder = save_model(tmp_path, "llama")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(DataError, match="cannot be loaded") as caught:
        PLUGIN(folder)
    assert "\n" not in str(caught.value)


def test_weights_are_loaded_in_the_type_of_the_name(tmp_path):
    folder = save_model(tmp_path / "model", "llama")
    full, half = (registry.make_backbone(f"hf:{folder}{more}") for more in ("", ",dtype=bfloat16"))
    assert (full.model.dtype, half.model.dtype) == (torch.float32, torch.bfloat16)
    assert full.fingerprint != half.fingerprint
    expected, found = (each.loglikelihood("", ["Word: happy\nSentiment:"], [" good", " bad"]) for each in (full, half))
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected, atol=0.1)
    with pytest.raises(UsageError, match=r"takes the option dtype=float32\|bfloat16\|float16\|auto, got 'dtype=int8'"):
        registry.make_backbone(f"hf:{folder},dtype=int8")
