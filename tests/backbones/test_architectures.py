"""Architectures and tokenizers of language models against a plain loop over texts, or refused by name."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from bench.backbones import _packing, _scoring
from bench.backbones._packing import run_packed
from bench.backbones._tokenizing import TextTokenizer
from bench.backbones.hf import CausalLM
from bench.contracts import Classes, DataError, UsageError
from bench.toolkit.chat import user_turn
from bench.toolkit.hooks import input_hooks
from tests.helpers.architectures import CONTEXT, REFUSED, SUPPORTED, save_architecture
from tests.helpers.plain_decoder import PlainDecoder
from tests.helpers.tokenizers import KINDS, TokenizerKind

SHARED = "Word: good \u00e9\nSentiment: positive\n"
ANSWERS = (" positive", " very bad indeed", " very")
NEW_TOKENS = 3
CLOSE = {"rtol": 2e-4, "atol": 2e-4}

Pair = tuple[CausalLM, PlainDecoder]


@pytest.fixture(scope="module")
def kinds() -> dict[str, TokenizerKind]:
    return {name: make() for name, make in KINDS.items()}


FAST = ("llama", "bloom, alibi")
WITH_ALL = "llama"
"""The architecture that is tried with every tokenizer, the others with ONE: a model gets nothing of them but ids."""
ONE = ("dated",)


@pytest.fixture(
    scope="module", params=[name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in SUPPORTED]
)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = save_architecture(SUPPORTED[request.param](), tmp_path_factory.mktemp("model"))
    plain: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return CausalLM(folder), PlainDecoder(plain.eval())


def prompts(kind: TokenizerKind) -> list[str]:
    """Texts of unequal length: plain, with special tokens written out, and with characters of no vocabulary."""
    return [
        "Word: happy\nSentiment:",
        f"Word: {kind.written} x\nSentiment:",
        " \u4e2d Word:  A Dog\U0001f415\nSentiment:",
    ]


def reading(backbone: CausalLM, kind: TokenizerKind) -> CausalLM:
    """The backbone with another tokenizer."""
    changed = copy.copy(backbone)
    changed.tokenizer = kind.tokenizer
    changed._tokens = TextTokenizer(kind.tokenizer, "m", len(backbone.model.get_input_embeddings().weight))
    return changed


@pytest.mark.slow
def test_everything_is_what_a_plain_loop_gives(
    pair: Pair, kinds: dict[str, TokenizerKind], request: pytest.FixtureRequest
) -> None:
    for name in KINDS if request.node.callspec.params["pair"] == WITH_ALL else ONE:
        assert_all_is_what_a_plain_loop_gives(pair, kinds[name])


def assert_all_is_what_a_plain_loop_gives(pair: Pair, kind: TokenizerKind) -> None:
    plain, backbone = pair[1], reading(pair[0], kind)
    texts = prompts(kind)
    rows = [kind.rule(text) for text in texts]
    assert backbone.count_tokens(texts) == [len(row) for row in rows]
    assert backbone.context_length == CONTEXT
    for context in ("", SHARED):
        found = backbone.loglikelihood(context, texts, ANSWERS)
        assert_scored(found, plain, [[kind.rule(context + text + answer) for answer in ANSWERS] for text in texts],
                      [kind.rule(context + text) for text in texts])  # fmt: skip
    if kind.chat is not None:
        turns = [user_turn(text) for text in texts]
        said = [answer.strip() for answer in ANSWERS]
        found = backbone.loglikelihood("", turns, said)
        assert_scored(found, plain, [[kind.chat(text, answer) for answer in said] for text in texts],
                      [kind.chat(text, "") for text in texts])  # fmt: skip
    rolling = backbone.loglikelihood_rolling([text * 2 for text in texts], 16, 8)
    for row, text in zip(rolling, texts, strict=True):
        torch.testing.assert_close(row[0], sliding(plain, kind.rule(text * 2), 16, 8), **CLOSE)
    features = backbone.encode(backbone.collate([backbone.prepare(text) for text in texts]))
    answers = [ANSWERS[0], ANSWERS[2]]
    values = backbone.class_embeddings(answers, ["{label}"])
    tokens = [kind.rule(":" + answer)[len(kind.rule(":")) :] for answer in answers]
    scores = backbone.class_logits(features.prior[None], Classes(values[None], (tuple(answers),)))[0]
    for score, row in zip(scores, rows, strict=True):
        last = plain.logits(row)[-1]
        single = [place for place, ids in enumerate(tokens) if len(ids) == 1]
        torch.testing.assert_close(score[single], last[[tokens[place][0] for place in single]], **CLOSE)
    assert_hidden_states(backbone, plain, texts, rows)
    for n_beams in (1, 5):
        found_texts = backbone.generate(texts, NEW_TOKENS, beams=n_beams)
        for text, row, written in zip(texts, rows, found_texts, strict=True):
            ids = plain.continued(row, NEW_TOKENS, n_beams, end=3)
            ids = ids[: ids.index(3)] if 3 in ids else ids
            whole = kind.tokenizer.backend_tokenizer.decode(ids, skip_special_tokens=True)
            assert written == whole.strip("\n").split("\n")[0].strip(), text


@pytest.mark.slow
def test_texts_in_one_row_have_the_scores_of_each_by_itself(
    pair: Pair, kinds: dict[str, TokenizerKind], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """All of a context are seen, so that an architecture with a window is run in rows of their own."""
    plain, kind = pair[1], kinds["byte_level"]
    backbone, texts = reading(pair[0], kind), [text[:length] for text in prompts(kind) for length in (9, 12, 30)]
    packed: list[int] = []

    def counted(run: Any, context: Any, tails: Any, *rest: Any) -> Any:
        packed.append(len(tails))
        return run_packed(run, context, tails, *rest)

    monkeypatch.setattr(_scoring, "run_packed", counted)
    monkeypatch.setattr(_packing, "LONG", 0)
    monkeypatch.setattr(_packing, "AT_ONCE", 40)
    found = backbone.loglikelihood(SHARED, texts, ANSWERS)
    joined = [[kind.rule(SHARED + text + answer) for answer in ANSWERS] for text in texts]
    assert_scored(found, plain, joined, [kind.rule(SHARED + text) for text in texts])
    together = backbone.model.config.model_type in _packing.MODEL_TYPES
    if together and "sliding" not in request.node.callspec.params["pair"]:
        assert len(packed) > 1
        assert max(packed) > 1
    else:
        assert packed == []


def test_every_architecture_of_texts_in_one_row_is_compared() -> None:
    assert {config().model_type for config in SUPPORTED.values()} >= _packing.MODEL_TYPES


@pytest.mark.slow
def test_an_end_that_is_no_special_token_ends_a_text_in_any_batch(
    pair: Pair, kinds: dict[str, TokenizerKind], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself or as one of several; the rows of a batch that end first are padded with it."""
    plain, kind = pair[1], kinds["byte_level"]
    backbone = reading(pair[0], kind)
    texts = prompts(kind)
    end = plain.continued(kind.rule(texts[0]), 2, 1, end=-1)[1]
    said = [plain.continued(kind.rule(text), 6, 1, end=end) for text in texts]
    for ends in (end, [399, end]):
        monkeypatch.setattr(backbone.model.generation_config, "eos_token_id", ends)
        those = ends if isinstance(ends, list) else [ends]
        for tokens, written in zip(said, backbone.generate(texts, 6, beams=1), strict=True):
            kept = tokens[: min((place for place, token in enumerate(tokens) if token in those), default=6)]
            assert written == kind.tokenizer.decode(kept).strip("\n").split("\n")[0].strip()


def assert_scored(
    found: torch.Tensor, plain: PlainDecoder, joined: list[list[list[int]]], stems: list[list[int]]
) -> None:
    """Each answer by all tokens that are not common to the prompt and all answers."""
    for row, answers, stem in zip(found, joined, stems, strict=True):
        start = min(
            next((place for place, (one, two) in enumerate(zip(stem, ids, strict=False)) if one != two), len(stem))
            for ids in answers
        )
        expected = torch.stack([-plain.losses(ids)[start - 1 :].sum() for ids in answers])
        torch.testing.assert_close(row.double(), expected, **CLOSE)


def sliding(plain: PlainDecoder, ids: list[int], size: int, stride: int) -> torch.Tensor:
    """Each token but the first once, given the tokens before it in the first window that has it."""
    total, done = torch.zeros((), dtype=torch.float64), 1
    for start in range(0, len(ids), stride):
        part = ids[start : start + size]
        if start + len(part) > done:
            total = total + plain.losses(part)[done - start - 1 :].sum()
            done = start + len(part)
    return total


def assert_hidden_states(backbone: CausalLM, plain: PlainDecoder, texts: list[str], rows: list[list[int]]) -> None:
    """States that memories see, in a batch of unequal lengths."""
    paths = {id(module): path for path, module in backbone.model.named_modules()}
    for module in (backbone.blocks[1], backbone.final_norm):
        seen: list[torch.Tensor] = []
        (batch,) = backbone.tokens(texts)
        with input_hooks([(module, seen.append)]), torch.no_grad():
            backbone.decoder(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False)
        by_ids = {tuple(ids[mask.bool()].tolist()): states[mask.bool()]
                  for ids, mask, states in zip(batch.ids, batch.mask, seen[0], strict=True)}  # fmt: skip
        for row in rows:
            torch.testing.assert_close(by_ids[tuple(row)], plain.inputs(row, paths[id(module)]), **CLOSE)


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_supported_is_refused_by_name(tmp_path: Path, name: str) -> None:
    config, said = REFUSED[name]
    folder = save_architecture(config(), tmp_path)
    with pytest.raises(UsageError, match=said) as caught:
        CausalLM(folder).require_runnable()
    assert "\n" not in str(caught.value)


def test_a_prior_is_as_long_as_a_value_in_every_architecture(pair: Pair) -> None:
    backbone = pair[0]
    prior = backbone.encode(backbone.collate([backbone.prepare(text) for text in ("so", "very good")])).prior
    ratio = prior.norm(dim=-1).mean() / backbone.model.get_output_embeddings().weight.norm(dim=-1).mean()
    assert 0.7 < ratio < 1.4


def test_answers_that_a_tokenizer_makes_alike_are_refused(kinds: dict[str, TokenizerKind], pair: Pair) -> None:
    backbone = reading(pair[0], kinds["word_pieces"])
    for call in (
        lambda: backbone.loglikelihood("", ["so"], (" Good", " good", " bad")),
        lambda: backbone.class_embeddings((" Good", " good", " bad"), ["{label}"]),
    ):
        with pytest.raises(UsageError, match=r"answers must have different tokens of .* ' Good' and ' good'"):
            call()


def test_an_empty_text_has_no_token_of_its_own(kinds: dict[str, TokenizerKind], pair: Pair) -> None:
    backbone = reading(pair[0], kinds["dated"])
    for call in (lambda: backbone.prepare(""), lambda: backbone.generate([""], 2), lambda: list(backbone.tokens([""]))):
        with pytest.raises(DataError, match="a token or more"):
            call()
