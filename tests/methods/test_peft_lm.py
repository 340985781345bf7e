"""Adapters in tiny decoders: the same answers as peft's own models give, the loss, and a backbone left as it was."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from peft import IA3Config, LoraConfig, PrefixTuningConfig, PromptTuningConfig, TaskType, get_peft_model
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.backbones._texts import windows
from bench.backbones.hf import CausalLM
from bench.contracts import LANGUAGE, DataError, Kind, UsageError
from bench.testing.doubles import CosineBackbone
from bench.testing.driver import adapt
from bench.testing.tiny_models import save_model
from methods._peft_lm import PeftMethod
from methods.ia3 import IA3
from methods.lora import Lora
from methods.prefix_tuning import PrefixTuning
from methods.prompt_tuning import PromptTuning
from tests.helpers.answered_texts import ANSWERS, PROMPTS, given

METHODS: list[type[PeftMethod]] = [Lora, IA3, PromptTuning, PrefixTuning]
TEXTS = ["Word: happy\nSentiment: positive", "Word: awful\nSentiment: negative", "very good, very bad: indeed"]
CONTEXT = "Word: good\nSentiment: positive\n\n"
BEAMS = 5

every_kind = pytest.mark.parametrize("kind", sorted(LANGUAGE))


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp("model"), request.param, context=96))


@pytest.fixture(params=METHODS, ids=lambda cls: cls.__name__)
def cls(request: pytest.FixtureRequest) -> type[PeftMethod]:
    found: type[PeftMethod] = request.param
    return found


def shaken(cls: type[PeftMethod], backbone: CausalLM, **config: Any) -> PeftMethod:
    """A method whose adapters are far from where they start."""
    shape = given(Kind.TEXT_CLASSIFICATION).shape
    method = cls(cls.Config(**config), backbone, shape)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in trained(method):
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return method


def trained(module: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def peft_model(method: PeftMethod, backbone: CausalLM) -> Any:
    """peft's own model around another copy of the network, with the method's adapters."""
    kind = TaskType.CAUSAL_LM
    configs: dict[type[PeftMethod], Any] = {
        Lora: LoraConfig(task_type=kind),
        IA3: IA3Config(task_type=kind),
        PromptTuning: PromptTuningConfig(task_type=kind, num_virtual_tokens=20),
        PrefixTuning: PrefixTuningConfig(task_type=kind, num_virtual_tokens=20),
    }
    made = get_peft_model(copy.deepcopy(backbone.model), configs[type(method)]).eval()
    with torch.no_grad():
        for ours, theirs in zip(trained(method), trained(made), strict=True):
            theirs.copy_(ours)
    return made


@torch.no_grad()
def log_probabilities(model: Any, ids: list[int]) -> Tensor:
    """``[position]``: of each token but the first, given those before it."""
    logits = model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long)).logits
    steps = logits[0, -len(ids) : -1].log_softmax(dim=-1)
    return steps.gather(1, torch.tensor(ids[1:])[:, None])[:, 0]


@pytest.mark.slow
@pytest.mark.parametrize("context", ["", CONTEXT], ids=["alone", "context"])
def test_answers_are_scored_as_by_peft(backbone: CausalLM, cls: type[PeftMethod], context: str) -> None:
    method = shaken(cls, backbone)
    model = peft_model(method, backbone)
    adapted: Any = method.adapted
    found = adapted.loglikelihood(context, PROMPTS, ANSWERS)
    assert (found - backbone.loglikelihood(context, PROMPTS, ANSWERS)).abs().max() > 0.1
    for row, prompt in zip(found, PROMPTS, strict=True):
        start = len(backbone.prepare(context + prompt))
        for score, answer in zip(row, ANSWERS, strict=True):
            expected = log_probabilities(model, backbone.prepare(context + prompt + answer))[start - 1 :].sum()
            torch.testing.assert_close(score, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_texts_are_scored_as_by_peft(backbone: CausalLM, cls: type[PeftMethod]) -> None:
    method = shaken(cls, backbone)
    model = peft_model(method, backbone)
    adapted: Any = method.adapted
    found = adapted.loglikelihood_rolling(TEXTS, 8, 5)
    assert (found - backbone.loglikelihood_rolling(TEXTS, 8, 5)).abs().max() > 0.1
    for text, (total, count) in zip(TEXTS, found, strict=True):
        parts = windows(0, backbone.prepare(text), 8, 5)
        scored = [log_probabilities(model, list(part.ids))[part.first - 1 :] for part in parts]
        assert count == sum(map(len, scored))
        torch.testing.assert_close(total, -torch.cat(scored).double().sum(), rtol=1e-5, atol=1e-4)


@pytest.mark.slow
def test_beam_search_is_that_of_the_adapted_network(backbone: CausalLM, cls: type[PeftMethod]) -> None:
    method = shaken(cls, backbone)
    adapted: Any = method.adapted
    model = peft_model(method, backbone)
    together = adapted.generate(PROMPTS, 6)
    assert together != backbone.generate(PROMPTS, 6)
    for prompt, written in zip(PROMPTS, together, strict=True):
        ids = torch.tensor([backbone.prepare(prompt)])
        mask = torch.ones_like(ids)
        # Without a cache each step is a plain run of all that is there.
        options = {"num_beams": BEAMS, "early_stopping": True, "do_sample": False, "use_cache": False}
        options |= {"max_new_tokens": 6, "pad_token_id": 0}
        rows = adapted.model.generate(input_ids=ids, attention_mask=mask, **options)
        tokens = rows[0, ids.shape[1] :]
        text = backbone.tokenizer.decode(tokens, skip_special_tokens=True)
        assert written == text.strip("\n").partition("\n")[0].strip()
        steps = log_probabilities(adapted.model, rows[0].tolist())
        torch.testing.assert_close(steps, log_probabilities(model, rows[0].tolist()), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@every_kind
def test_updates_and_scales_start_as_no_change(backbone: CausalLM, kind: Kind) -> None:
    episode = given(kind)
    before = backbone.answer(episode.query, kind, episode.shape.protocol)
    for cls in (Lora, IA3):
        with torch.no_grad():
            found = cls(cls.Config(), backbone, episode.shape).predict(episode.query)
        assert torch.equal(found, before) if isinstance(found, Tensor) else found == before


def test_a_prefix_starts_as_drawn_words(backbone: CausalLM) -> None:
    shape = given(Kind.TEXT_CLASSIFICATION).shape
    adapted: Any = PrefixTuning(PrefixTuning.Config(virtual_tokens=3), backbone, shape).adapted
    # A prefix has keys and values of three tokens; the model reads on as if it had read them.
    start = adapted.causal_lm(input_ids=torch.tensor([[5, 6]])).logits
    with torch.random.fork_rng():
        # peft draws numbers for the prefix first.
        torch.manual_seed(shape.seed)
        torch.nn.Embedding(*adapted.virtual_tokens.encoder.embedding.weight.shape)
        words = torch.randint(backbone.config.vocab_size, (1, 3))
    ids = torch.cat([words, torch.tensor([[5, 6]])], dim=1)
    expected = backbone.model(input_ids=ids).logits[:, 3:]
    torch.testing.assert_close(start, expected, rtol=1e-4, atol=1e-4)


def test_virtual_tokens_start_as_drawn_words_and_take_room(backbone: CausalLM) -> None:
    method = shaken(PromptTuning, backbone)
    fresh = PromptTuning(PromptTuning.Config(virtual_tokens=7), backbone, method.shape)
    (embedded,) = trained(fresh)
    words = backbone.model.get_input_embeddings().weight
    assert (embedded[:, None] == words).all(dim=-1).any(dim=-1).all()
    adapted: Any = fresh.adapted
    assert (adapted.context_length, backbone.context_length) == (96 - 7, 96)
    assert fresh.notes == {"virtual_tokens": 7}
    again = PromptTuning(PromptTuning.Config(virtual_tokens=3), adapted, method.shape).adapted
    assert again.context_length == 96 - 7 - 3  # type: ignore[attr-defined]
    # The longest text fits to the last position, and no more.
    longest = "x" * 89
    assert backbone.count_tokens([longest]) == [89]
    assert adapted.loglikelihood_rolling([longest], 96, None)[0, 1] == 88
    with pytest.raises(DataError, match="must fit 89 tokens"):
        adapted.generate([longest], 1)


@pytest.mark.slow
@every_kind
def test_loss_is_the_mean_over_what_should_follow(backbone: CausalLM, cls: type[PeftMethod], kind: Kind) -> None:
    episode = given(kind, PROMPTS, ANSWERS)
    method = cls(cls.Config(), backbone, episode.shape)
    model = peft_model(method, backbone)
    each = []
    for prompt, answer in zip(PROMPTS, ANSWERS, strict=True):
        if kind is Kind.LANGUAGE_MODELLING:
            each.append(log_probabilities(model, backbone.prepare(prompt)))
            continue
        whole = prompt + answer + ("\n" if kind is Kind.TEXT_GENERATION else "")
        each.append(log_probabilities(model, backbone.prepare(whole))[len(backbone.prepare(prompt)) - 1 :])
    torch.testing.assert_close(method.loss(episode.support), -torch.cat(each).mean(), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_two_examples_are_learnt_and_the_backbone_is_left_alone(backbone: CausalLM, cls: type[PeftMethod]) -> None:
    # Labels against the model's own preference.
    episode = given(Kind.TEXT_CLASSIFICATION)
    before = backbone.answer(episode.query, Kind.TEXT_CLASSIFICATION, episode.shape.protocol)
    assert isinstance(before, Tensor)
    order = (1, 0) if before[0, 0].argmax() == 0 else (0, 1)
    episode = replace(episode, support=replace(episode.support, labels=torch.tensor([order])))
    weights = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    pace = {"steps": 60, "lr": 0.1} if cls in (Lora, IA3) else {"steps": 150, "lr": 0.03}
    method = cls(cls.Config(**pace), backbone, episode.shape)
    with torch.no_grad():
        start = float(method.loss(episode.support))
    adapt(method, episode.support)
    with torch.no_grad():
        scores = method.predict(episode.query)
        # The frozen output embedding leaves no way to be much surer than that.
        assert float(method.loss(episode.support)) < start - 1
    assert isinstance(scores, Tensor)
    assert scores[0].argmax(dim=1).tolist() == list(order)
    assert torch.equal(backbone.answer(episode.query, Kind.TEXT_CLASSIFICATION, episode.shape.protocol), before)
    after = backbone.state_dict()
    assert list(after) == list(weights)
    assert all(torch.equal(after[name], tensor) for name, tensor in weights.items())
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in backbone.modules())


def test_only_adapters_are_trained_and_counted(backbone: CausalLM, cls: type[PeftMethod]) -> None:
    method = shaken(cls, backbone)
    assert all("lora_" in name or "ia3_" in name or "virtual_tokens" in name for name in names(method))
    assert method.trainable_params() == sum(parameter.numel() for parameter in trained(method))
    assert method.state_bytes() == 4 * method.trainable_params() > 0
    method.loss(given(Kind.TEXT_CLASSIFICATION).support).backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in trained(method))


def names(method: PeftMethod) -> list[str]:
    return [name for name, parameter in method.named_parameters() if parameter.requires_grad]


@pytest.mark.slow
def test_a_run_is_reproducible(backbone: CausalLM, cls: type[PeftMethod]) -> None:
    episode = given(Kind.LANGUAGE_MODELLING, TEXTS, ("",) * 3)
    config = {"steps": 3, "window": 6} | ({"dropout": 0.3} if cls is Lora else {})
    found = []
    for _ in range(2):
        method = cls(cls.Config(**config), backbone, episode.shape)
        adapt(method, episode.support)
        with torch.no_grad():
            found += [method.predict(episode.query), method.predict(episode.query)]
    assert all(torch.equal(each, found[0]) for each in found[1:])


@pytest.mark.slow
def test_a_step_reads_one_window_of_a_long_text(backbone: CausalLM) -> None:
    episode = given(Kind.LANGUAGE_MODELLING, TEXTS[:1], ("",))
    method = Lora(Lora.Config(window=5), backbone, episode.shape)
    ids = backbone.prepare(TEXTS[0])
    parts = [part for part in (ids[start : start + 5] for start in range(0, len(ids), 5)) if len(part) > 1]
    possible = [-log_probabilities(backbone.model, part).mean() for part in parts]
    with torch.no_grad():
        losses = [method.loss(episode.support) for _ in range(20)]
    found = {min(range(len(parts)), key=lambda part: float((loss - possible[part]).abs())) for loss in losses}
    assert len(found) > 1
    assert all(min(float((loss - each).abs()) for each in possible) < 1e-4 for loss in losses)


@pytest.mark.slow
def test_adapters_of_a_model_in_half_precision_are_float32(backbone: CausalLM, cls: type[PeftMethod]) -> None:
    episode = given(Kind.TEXT_CLASSIFICATION)
    half = copy.deepcopy(backbone).to(torch.bfloat16)
    method = cls(cls.Config(steps=2), half, episode.shape).to(torch.bfloat16)
    adapt(method, episode.support)
    assert {parameter.dtype for parameter in trained(method)} == {torch.float32}
    assert half.model.dtype == torch.bfloat16
    with torch.no_grad():
        scores = method.predict(episode.query)
    assert isinstance(scores, Tensor)
    assert scores.isfinite().all()


def test_what_cannot_be_adapted_or_learnt_is_named(backbone: CausalLM) -> None:
    episode = given(Kind.TEXT_CLASSIFICATION)
    for cls in METHODS:
        with pytest.raises(UsageError, match="got CosineBackbone"):
            cls(cls.Config(), CosineBackbone(), episode.shape)
    with pytest.raises(UsageError, match="95 virtual tokens"):
        PrefixTuning(PrefixTuning.Config(virtual_tokens=95), backbone, episode.shape)

    def trained_on(kind: Kind, texts: list[str], completions: tuple[str, ...]) -> Tensor:
        episode = given(kind, texts, completions)
        return Lora(Lora.Config(), backbone, episode.shape).loss(episode.support)

    with pytest.raises(DataError, match="must fit 96 tokens"):
        trained_on(Kind.TEXT_GENERATION, ["x" * 90], ("y" * 9,))
    with pytest.raises(DataError, match="completion needs a token"):
        trained_on(Kind.TEXT_CLASSIFICATION, ["x"], ("",))
    with pytest.raises(DataError, match="two tokens or more"):
        trained_on(Kind.LANGUAGE_MODELLING, ["x"], ("",))
    assert trained_on(Kind.TEXT_CLASSIFICATION, ["Word:"], (" good",)).isfinite()
    empty = replace(episode.support, inputs=replace(episode.support.inputs, positions=np.full((1, 2), -1)))
    empty = replace(empty, mask=torch.zeros(1, 2, dtype=torch.bool))
    with pytest.raises(DataError, match="one example or more, got none"):
        Lora(Lora.Config(), backbone, episode.shape).loss(empty)


def test_families_that_peft_does_not_know(backbone: CausalLM) -> None:
    episode = given(Kind.TEXT_CLASSIFICATION)
    other = copy.deepcopy(backbone)
    other.model.config.model_type = "unheard_of"
    method = Lora(Lora.Config(), other, episode.shape)
    assert method.notes == {"adapted": "all linear layers"}
    inside = {name for name in names(method) if "lora_A" in name}
    blocks = other.blocks
    assert len(inside) == sum(
        type(module).__name__ in ("Linear", "Conv1D") for block in blocks for module in block.modules()
    )
    with pytest.raises(UsageError, match="got one of unheard_of"):
        IA3(IA3.Config(), other, episode.shape)


def test_cross_entropy_is_what_peft_would_train_on(backbone: CausalLM) -> None:
    method = shaken(PromptTuning, backbone)
    ids = torch.tensor([backbone.prepare(PROMPTS[0] + ANSWERS[0])])
    labels = ids.clone()
    start = len(backbone.prepare(PROMPTS[0]))
    labels[:, :start] = -100
    expected = peft_model(method, backbone)(input_ids=ids, labels=labels).loss
    adapted: Any = method.adapted
    logits = adapted.causal_lm(input_ids=ids).logits
    torch.testing.assert_close(cross_entropy(logits[0, :-1], labels[0, 1:]), expected)
