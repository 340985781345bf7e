"""Loading of decoders: what a folder says beside its weights changes nothing, or is refused by name."""

import json
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers.utils import chat_template_utils

from bench.backbones._chat import templated
from bench.backbones._tokenizing import TextTokenizer
from bench.backbones.hf import CausalLM
from bench.contracts import DataError, UsageError
from bench.testing.tiny_models import save_model
from bench.toolkit.chat import Conversation, user_turn
from tests.helpers.places import ROOT
from tests.helpers.tokenizers import DATE, TokenizerKind, dated

PROMPTS = ["Word: happy", "the goal was"]
STEERING: dict[str, dict[str, Any]] = {
    "penalty": {"repetition_penalty": 1.5},
    "forbidden": {"no_repeat_ngram_size": 1, "suppress_tokens": list(range(1, 300))},
    "sampling": {"do_sample": True, "temperature": 9.0, "top_k": 3, "num_return_sequences": 1},
    "cache": {"cache_implementation": "static"},
    "length": {"max_length": 3, "min_new_tokens": 7, "length_penalty": -3.0, "num_beams": 2, "early_stopping": False},
    "forced": {"forced_bos_token_id": 5, "forced_eos_token_id": 6, "bad_words_ids": [[7]]},
    "no cache": {"use_cache": False},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"), "llama")


@pytest.fixture(scope="module")
def written(folder: Path) -> list[str]:
    return CausalLM(folder).generate(PROMPTS, 6)


def changed(folder: Path, made: Path, file: str, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a model with a change to one of its JSON files."""
    shutil.copytree(folder, made)
    content = json.loads((made / file).read_text()) if (made / file).exists() else {}
    change(content)
    (made / file).write_text(json.dumps(content))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", STEERING)
def test_generation_settings_of_a_model_do_not_steer(
    folder: Path, written: list[str], tmp_path: Path, name: str
) -> None:
    other = changed(folder, tmp_path / "m", "generation_config.json", lambda given: given.update(STEERING[name]))
    assert CausalLM(other).generate(PROMPTS, 6) == written


def test_settings_of_a_config_do_not_change_outputs(folder: Path, written: list[str], tmp_path: Path) -> None:
    given = {"return_dict": False, "output_hidden_states": True, "output_attentions": True, "use_cache": False}
    other = CausalLM(changed(folder, tmp_path / "m", "config.json", lambda config: config.update(given)))
    assert other.generate(PROMPTS, 6) == written
    first = CausalLM(folder)
    answers = (" positive", " very good")
    assert torch.equal(other.loglikelihood("so", PROMPTS, answers), first.loglikelihood("so", PROMPTS, answers))


@pytest.mark.parametrize("case", ["47a", "47f", "47p"])
def test_copies_of_a_model_that_differ_in_generation_settings_write_the_same(case: str) -> None:
    cases = ROOT.parent / "shared" / "cases"
    if not cases.is_dir():
        pytest.skip("no cases")
    assert CausalLM(cases / case).generate(PROMPTS, 6) == CausalLM(cases / "41plain").generate(PROMPTS, 6)


def test_weights_that_a_checkpoint_lacks_are_named(folder: Path, tmp_path: Path) -> None:
    made = tmp_path / "m"
    shutil.copytree(folder, made)
    weights = load_file(made / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, made / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"lacks weights of a causal language model: lm_head\.weight"):
        CausalLM(made)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", {"vocab_size": "many"}),
        ("config.json", {"hidden_size": -32}),
        ("config.json", {"num_attention_heads": 0}),
        ("config.json", {"model_type": 3}),
        ("tokenizer_config.json", {"tokenizer_class": "NoSuchTokenizer", "added_tokens_decoder": {"a": 1}}),
        ("tokenizer.json", {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}}),
    ],
)
def test_damaged_settings_are_one_line(folder: Path, tmp_path: Path, file: str, content: dict[str, Any]) -> None:
    made = changed(folder, tmp_path / "m", file, lambda given: given.update(content))
    with pytest.raises(DataError, match="cannot be loaded as a causal language model") as caught:
        CausalLM(made)
    assert "\n" not in str(caught.value)


def test_a_damaged_generation_config_is_not_passed_over(folder: Path, tmp_path: Path) -> None:
    made = tmp_path / "m"
    shutil.copytree(folder, made)
    (made / "generation_config.json").write_text('{"eos_token_id": [0, ')
    with pytest.raises(DataError, match="cannot be loaded as a causal language model"):
        CausalLM(made)


def test_a_norm_of_zeros_is_refused(folder: Path, tmp_path: Path) -> None:
    made = tmp_path / "m"
    shutil.copytree(folder, made)
    weights = load_file(made / "model.safetensors")
    (norm,) = (name for name in weights if name in {"model.norm.weight", "transformer.ln_f.weight"})
    save_file(weights | {norm: weights[norm] * 0}, made / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UsageError, match="scales all hidden states to 0"):
        CausalLM(made)


def test_code_that_comes_with_a_model_is_not_run(folder: Path, tmp_path: Path) -> None:
    own = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModelForCausalLM": "mine.Model"}}
    made = changed(folder, tmp_path / "m", "config.json", lambda config: config.update(own))
    (made / "mine.py").write_text("raise SystemExit('it was run')")
    with pytest.raises(DataError, match="cannot be loaded as a causal language model"):
        CausalLM(made)


def test_a_token_without_an_embedding_is_named(folder: Path) -> None:
    backbone = CausalLM(folder)
    tokens = TextTokenizer(backbone.tokenizer, "m", 5)
    with pytest.raises(DataError, match="m has embeddings of 5 tokens, and its tokenizer makes token"):
        tokens("happy")


def test_a_tokenizer_that_cuts_and_pads_by_itself_reads_whole_texts(folder: Path, tmp_path: Path) -> None:
    made = tmp_path / "m"
    shutil.copytree(folder, made)
    tokenizer = Tokenizer.from_file(str(made / "tokenizer.json"))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=30)
    tokenizer.save(str(made / "tokenizer.json"))
    texts = ["Word: happy", "Word: <s> a longer one, that is written out"]
    assert [CausalLM(made)._tokens(text) for text in texts] == [CausalLM(folder)._tokens(text) for text in texts]


@pytest.fixture(scope="module")
def dated_kind() -> TokenizerKind:
    return dated()


def test_a_template_has_the_same_date_on_any_day(dated_kind: TokenizerKind, monkeypatch: pytest.MonkeyPatch) -> None:
    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Later":
            return cls(2031, 1, 5)

    conversation = Conversation.of(user_turn("so"))
    assert conversation is not None
    before = templated(dated_kind.tokenizer, "m", conversation)
    assert f"Today: {DATE}" in before
    monkeypatch.setattr(chat_template_utils, "datetime", Later)
    assert templated(dated_kind.tokenizer, "m", conversation) == before


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{% set day = strftime_now('%-d %B %Y, %A') %}{{ day }}", "26 July 2024, Friday"),
        ("\n  {% if strftime_now is defined %}[{{ strftime_now('%Y-%m-%d') }}]{% endif %}", "\n[2024-07-26]"),
        ("{% macro at() %}{{ strftime_now('%H:%M') }}{% endmacro %}{{ at() }}", "00:00"),
    ],
)
def test_dates_of_templates(
    dated_kind: TokenizerKind, template: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text that transformers makes on that day."""

    class ThatDay(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "ThatDay":
            return cls(2024, 7, 26)

    conversation = Conversation.of(user_turn("so"))
    assert conversation is not None
    monkeypatch.setattr(dated_kind.tokenizer, "chat_template", template)
    assert templated(dated_kind.tokenizer, "m", conversation) == expected
    monkeypatch.setattr(chat_template_utils, "datetime", ThatDay)
    messages = list(conversation.messages)
    assert dated_kind.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == expected


def test_a_template_that_draws_at_random_is_refused(dated_kind: TokenizerKind, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = Conversation.of(user_turn("so"))
    assert conversation is not None
    monkeypatch.setattr(dated_kind.tokenizer, "chat_template", "{{ ['a', 'b'] | random }}")
    with pytest.raises(UsageError, match="draws words at random"):
        templated(dated_kind.tokenizer, "m", conversation)
