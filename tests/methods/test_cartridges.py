"""Cartridges: prefixes that start from the support text and learn from the model that reads it."""

from typing import Any

import pytest
import torch

from bench.backbones.hf import CausalLM
from bench.contracts import DataError, Kind, UsageError
from bench.testing.driver import adapt, adapted
from bench.testing.tiny_models import save_model
from methods.in_context import InContext
from methods.prefix_tuning import PrefixTuning
from tests.helpers.answered_texts import ANSWERS, PROMPTS, given

CLASSES = given(Kind.TEXT_CLASSIFICATION, PROMPTS, ANSWERS)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp("model"), request.param, context=200))


def made(backbone: CausalLM, **config: Any) -> PrefixTuning:
    return PrefixTuning(PrefixTuning.Config(start="support", **config), backbone, CLASSES.shape)


@torch.no_grad()
def test_as_long_as_the_whole_text_and_untrained_it_is_in_context(backbone: CausalLM) -> None:
    whole = adapted(InContext, CLASSES, backbone)
    text = "".join(whole._given.texts[item] for item in whole._orders[0])
    (count,) = backbone.count_tokens([text])
    method = made(backbone, virtual_tokens=count)
    method.begin(CLASSES.support)
    torch.testing.assert_close(method.predict(CLASSES.query), whole.predict(CLASSES.query), rtol=1e-4, atol=1e-4)
    with pytest.raises(DataError, match=rf"virtual_tokens must be at most the {count} tokens of the support text"):
        made(backbone, virtual_tokens=count + 1).begin(CLASSES.support)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["labels", "distil"])
def test_all_but_frozen_tokens_learn(backbone: CausalLM, loss: str) -> None:
    method = made(backbone, virtual_tokens=10, loss=loss, frozen_tokens=2, steps=12)
    method.begin(CLASSES.support)
    start = method._weight.detach().clone()
    with torch.no_grad():
        first = float(method.batch_loss(CLASSES.support))
    adapt(method, CLASSES.support)
    with torch.no_grad():
        assert float(method.batch_loss(CLASSES.support)) < first
    assert torch.equal(method._weight[:2], start[:2])
    assert (method._weight[2:] != start[2:]).any(dim=1).all()
    assert method.trainable_params() == start[2:].numel()
    assert method.state_bytes() == start.nbytes


@torch.no_grad()
def test_it_learns_what_the_model_answers_after_the_other_examples(backbone: CausalLM) -> None:
    method = made(backbone, virtual_tokens=5, loss="distil")
    method.begin(CLASSES.support)
    total, count = 0.0, 0
    for item in range(3):
        others = [other for other in method._order if other != item]
        context = "".join(method._given.texts[other] for other in others)
        full = backbone.tokenizer(context + PROMPTS[item] + ANSWERS[item])["input_ids"]
        answer = backbone.tokenizer(ANSWERS[item])["input_ids"]
        teacher = backbone.model(input_ids=torch.tensor([full])).logits[0].log_softmax(dim=-1)[-len(answer) - 1 : -1]
        own = backbone.tokenizer(PROMPTS[item] + ANSWERS[item])["input_ids"]
        states = method.reader.decoder(input_ids=torch.tensor([own]), use_cache=False).last_hidden_state
        student = backbone.model.lm_head(states)[0].log_softmax(dim=-1)[-len(answer) - 1 : -1]
        total += float((teacher.exp() * (teacher - student)).sum())
        count += len(answer)
    assert float(method.batch_loss(CLASSES.support)) == pytest.approx(total / count, rel=1e-4)


def test_what_a_cartridge_cannot_do_is_named(backbone: CausalLM) -> None:
    with pytest.raises(UsageError, match="frozen_tokens must be fewer than the 5 virtual tokens, got 5"):
        adapt(made(backbone, virtual_tokens=5, frozen_tokens=5), CLASSES.support)
    shape = given(Kind.LANGUAGE_MODELLING).shape
    with pytest.raises(UsageError, match="loss=distil needs prompts with answers, got texts to model"):
        PrefixTuning(PrefixTuning.Config(loss="distil"), backbone, shape)


def test_texts_to_model_are_a_start_too(backbone: CausalLM) -> None:
    texts = given(Kind.LANGUAGE_MODELLING)
    method = adapted(PrefixTuning, texts, backbone, start="support", virtual_tokens=5, steps=2)
    with torch.no_grad():
        found = method.predict(texts.query)
    assert isinstance(found, torch.Tensor)
    assert found.isfinite().all()
