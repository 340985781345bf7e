"""Texts and labels that are hard to read, for every method that reads them: the right result or a clear error."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import registry
from bench.backbones.hf import CausalLM
from bench.contracts import AnyMethod, DataError, GradientMethod, InputMode, Kind
from bench.testing.driver import adapt
from bench.testing.tiny_models import save_model
from tests.helpers.language import PROMPTS, TEXTS, problem_shape, query, support

CONTEXT = 64
LONG = "very good, very bad: indeed " * 12
NAMES = (" very good", " very bad indeed", " positive")
"""Answers of several tokens, two of which begin with the same."""
VIRTUAL = {"prompt_tuning", "prefix_tuning"}
"""Take room from the context, and change the model before any step."""


def serving(kind: Kind) -> list[str]:
    """Methods that run the language model in tasks of a kind."""
    found: dict[str, type[AnyMethod]] = {
        name: registry.method_class(name) for base in registry.find("methods") for name in registry.names_by_site(base)
    }
    return sorted(
        name
        for name, cls in found.items()
        if kind in cls.kinds and cls.input_mode_for(kind, CausalLM) is InputMode.INPUTS
    )


every_modeller = pytest.mark.parametrize("name", serving(Kind.LANGUAGE_MODELLING))
every_classifier = pytest.mark.parametrize("name", serving(Kind.TEXT_CLASSIFICATION))


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp("model"), "llama", context=CONTEXT))


def made(name: str, backbone: CausalLM, kind: Kind, n_way: int = 1) -> Any:
    cls = registry.method_class(name)
    fields = cls.Config.model_fields
    config = {key: value for key, value in {"steps": 2, "virtual_tokens": 4}.items() if key in fields}
    return cls(cls.Config(**config), backbone, problem_shape(kind, n_way))


def modelled(name: str, backbone: CausalLM, learnt: list[str], requested: list[str]) -> Tensor:
    """``[text, 2]``, see Method.predict."""
    method = made(name, backbone, Kind.LANGUAGE_MODELLING)
    adapt(method, support(learnt))
    with torch.no_grad():
        found: Tensor = method.predict(query(requested))[0]
    return found


def test_there_are_methods_to_ask() -> None:
    assert {"zero_shot", "faast@hidden_states", "knn_lm", "lora"} <= set(serving(Kind.LANGUAGE_MODELLING))
    assert {"zero_shot", "faast@hidden_states", "knn_lm", "lora", "in_context"} <= set(
        serving(Kind.TEXT_CLASSIFICATION)
    )


@every_modeller
def test_texts_longer_than_the_context_are_learnt_and_scored_in_windows(name: str, backbone: CausalLM) -> None:
    (length,) = backbone.count_tokens([LONG])
    assert length > CONTEXT
    found = modelled(name, backbone, [LONG, TEXTS[0]], [LONG, TEXTS[1]])
    assert found.isfinite().all()
    # Windows of 32 tokens, whose first is not scored.
    assert found[:, 1].tolist() == [count - -(-count // 32) for count in backbone.count_tokens([LONG, TEXTS[1]])]


@pytest.mark.slow
@every_modeller
@pytest.mark.parametrize("empty", ["", "x"], ids=["empty", "one token"])
def test_a_text_in_which_nothing_can_be_scored_is_named(name: str, backbone: CausalLM, empty: str) -> None:
    with pytest.raises(DataError, match=f"a text must have .* tokens? or more .*got '{empty}'") as caught:
        modelled(name, backbone, TEXTS[:2], [TEXTS[2], empty])
    assert "\n" not in str(caught.value)


@every_modeller
def test_an_empty_text_to_learn_from_is_named(name: str, backbone: CausalLM) -> None:
    if name == "zero_shot":
        pytest.skip("learns from nothing")
    with pytest.raises(DataError, match=r"a text must have a token or more of .*, got ''"):
        modelled(name, backbone, ["", TEXTS[0]], TEXTS[2:])


@every_modeller
def test_a_text_of_one_token_teaches_nothing_or_is_named(name: str, backbone: CausalLM) -> None:
    """A memory has no pair to take in from it; a loss over no token at all is none."""
    if issubclass(registry.method_class(name), GradientMethod):
        with pytest.raises(DataError, match="two tokens or more to learn from, got 'x'"):
            modelled(name, backbone, ["x"], TEXTS[:2])
    else:
        found = modelled(name, backbone, ["x"], TEXTS[:2])
        torch.testing.assert_close(found, backbone.loglikelihood_rolling(TEXTS[:2], 32, None))


@pytest.mark.slow
@every_classifier
def test_answers_of_several_tokens_are_scored_alike_by_every_method(name: str, backbone: CausalLM) -> None:
    """Without examples, or before the first step, all are the model's own summed log-probability of the answer."""
    if name in VIRTUAL:
        pytest.skip("changes the model before any step")
    method = made(name, backbone, Kind.TEXT_CLASSIFICATION, len(NAMES))
    with torch.no_grad():
        found = method.predict(query(PROMPTS, NAMES))
    tokens = [backbone.tokenizer(answer)["input_ids"] for answer in NAMES]
    assert tokens[0][0] == tokens[1][0]
    assert min(map(len, tokens[:2])) > 1
    for row, prompt in zip(found[0], PROMPTS, strict=True):
        stem = backbone.tokenizer(prompt)["input_ids"]
        for score, answer in zip(row, tokens, strict=True):
            with torch.no_grad():
                steps = backbone.model(input_ids=torch.tensor([stem + answer])).logits[0].log_softmax(dim=-1)
            expected = steps[len(stem) - 1 : -1].gather(1, torch.tensor(answer)[:, None]).sum()
            torch.testing.assert_close(score, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@every_classifier
def test_answers_of_several_tokens_can_be_learnt(name: str, backbone: CausalLM) -> None:
    method = made(name, backbone, Kind.TEXT_CLASSIFICATION, len(NAMES))
    adapt(method, support(PROMPTS, labels=[0, 1], names=NAMES))
    with torch.no_grad():
        found = method.predict(query(PROMPTS, NAMES))
    assert found.shape == (1, len(PROMPTS), len(NAMES))
    assert found.isfinite().all()


@pytest.mark.slow
@every_classifier
def test_a_prompt_longer_than_the_context_is_named_with_its_length(name: str, backbone: CausalLM) -> None:
    method = made(name, backbone, Kind.TEXT_CLASSIFICATION, len(NAMES))
    adapt(method, support(PROMPTS, labels=[0, 1], names=NAMES))
    room = CONTEXT - 4 if name in VIRTUAL else CONTEXT
    with torch.no_grad(), pytest.raises(DataError, match=rf"must fit {room} tokens of .*, got \d+") as caught:
        method.predict(query([PROMPTS[0], LONG], NAMES))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_tokenizer_without_a_padding_token_changes_no_score(tmp_path: Path) -> None:
    folder = save_model(tmp_path, "llama", context=CONTEXT)
    without, padding = CausalLM(folder), CausalLM(folder)
    assert without.tokenizer.pad_token is None
    padding.tokenizer.pad_token = "<s>"
    for name in ("zero_shot", "faast@hidden_states", "knn_lm", "lora"):
        found = [modelled(name, each, TEXTS[:2], [TEXTS[2], "very good"]) for each in (without, padding)]
        assert torch.equal(*found)
    assert without.generate(PROMPTS, 4) == padding.generate(PROMPTS, 4)
