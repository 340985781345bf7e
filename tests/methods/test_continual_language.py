"""Going on from a state in a language model: adapters that are trained on, memories inside it, and demonstrations."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.backbones.hf import CausalLM
from bench.contracts import Kind, Removing, Support
from bench.spec.resolve import resolve
from bench.spec.run_spec import RunSpec
from bench.testing.driver import adapt
from bench.testing.tiny_models import save_model
from bench.toolkit.hidden_states import whole_texts
from methods._continual_faast_hidden_states import ContinualFaastInside
from methods._continual_hebbian_hidden_states import ContinualHebbianInside
from methods._continual_ia3 import ContinualIA3
from methods._continual_in_context import ContinualInContext
from methods._continual_in_place_ttt import ContinualInPlaceTtt
from methods._continual_knn_lm import ContinualKnnLm
from methods._continual_knn_prompting import ContinualKnnPrompting
from methods._continual_linear_projection_hidden_states import ContinualProjectionInside
from methods._continual_lora import ContinualLora
from methods._continual_mezo import ContinualMezo
from methods._continual_peft import ContinualPeft
from methods._continual_prefix_tuning import ContinualPrefixTuning
from methods._continual_prompt_tuning import ContinualPromptTuning
from methods._continual_retrieved_context import ContinualRetrievedContext
from methods._continual_ridge_hidden_states import ContinualRidgeInside
from methods._continual_softmax_memory_hidden_states import ContinualSoftmaxInside
from methods._continual_test_time_training import ContinualTestTimeTraining
from tests.helpers.language import NAMES, WORDS, problem_shape, query, support

TEXTS = ["a happy word, a longer one", "very bad indeed"]
"""Generic texts, of no task."""
PROMPTS = [f"Word: {word}\nSentiment:" for word in WORDS]
SHAPE = problem_shape(Kind.TEXT_CLASSIFICATION, n_way=2)
TRAINED = [
    (ContinualLora, {"lr": 0.05}),
    (ContinualIA3, {"lr": 0.05}),
    (ContinualPeft, {"lr": 0.05}),
    (ContinualPromptTuning, {"lr": 0.05, "virtual_tokens": 4}),
    (ContinualPrefixTuning, {"lr": 0.05, "virtual_tokens": 4}),
    (ContinualMezo, {"lr": 0.05}),
    (ContinualProjectionInside, {"lr": 0.05}),
]
SUMS: list[tuple[type[Any], dict[str, Any]]] = [
    (ContinualFaastInside, {}),
    (ContinualFaastInside, {"rank": 4}),
    (ContinualRidgeInside, {}),
]
DEMONSTRATIONS: list[tuple[type[Any], dict[str, Any]]] = [
    (ContinualInContext, {"calibrate": "support"}),
    (ContinualRetrievedContext, {"m": 3}),
    (ContinualKnnPrompting, {"k": 3}),
]
KEPT: list[tuple[type[Any], dict[str, Any]]] = [
    *SUMS,
    *DEMONSTRATIONS,
    (ContinualHebbianInside, {"decay": 1.0}),
    (ContinualSoftmaxInside, {}),
    (ContinualKnnLm, {}),
]


def named(cases: Sequence[tuple[type[Any], dict[str, Any]]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("cls", "config"), cases, ids=[f"{cls.__name__}{more or ''}" for cls, more in cases])


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp("llama"), "llama", context=256))


def parts() -> tuple[Support, Support]:
    """Two support sets: the second has the prompts of the first with the other labels, and two of its own."""
    first = support(PROMPTS[:4], labels=[0, 1, 0, 1], names=NAMES)
    return first, support(PROMPTS, labels=[1, 0, 1, 0, 0, 1], names=NAMES)


def made(cls: Any, backbone: CausalLM, config: dict[str, Any]) -> Any:
    return cls(cls.Config(**config), backbone, SHAPE)


def answers(method: Any) -> Tensor:
    with torch.no_grad():
        found: Tensor = method.predict(query(PROMPTS, NAMES))
    return found


def nll(model: Any) -> Tensor:
    with torch.no_grad():
        found: Tensor = model.eval().loglikelihood_rolling(TEXTS, 32, None)
    return found[:, 0]


@pytest.mark.slow
@named(TRAINED)
def test_training_goes_on_as_a_fresh_one_that_starts_from_the_same_parameters(
    backbone: CausalLM, cls: Any, config: dict[str, Any]
) -> None:
    first, second = parts()
    method, fresh = (made(cls, backbone, {**config, "steps": 2}) for _ in range(2))
    begun = [each.detach().clone() for each in method.trained()]
    adapt(method, first)
    learnt = [each.detach().clone() for each in method.trained()]
    assert any(not torch.equal(*pair) for pair in zip(begun, learnt, strict=True))
    method.continue_adapt()
    with torch.no_grad():
        for own, kept in zip(fresh.trained(), learnt, strict=True):
            own.copy_(kept)
    fresh._step = method._step
    for each in (method, fresh):
        adapt(each, second)
    for own, other, kept in zip(method.trained(), fresh.trained(), learnt, strict=True):
        torch.testing.assert_close(own, other)
        assert not torch.equal(own, kept)
    assert not torch.allclose(nll(method.language_model()), nll(backbone), rtol=1e-6, atol=0)


def test_tasks_of_test_time_training_are_of_all_examples_so_far(backbone: CausalLM) -> None:
    first, second = parts()
    method, fresh = (made(ContinualTestTimeTraining, backbone, {"lr": 0.05, "steps": 2}) for _ in range(2))
    adapt(method, first)
    method.continue_adapt()
    for part in (first, second):
        fresh.begin(part)
    with torch.no_grad():
        for own, kept in zip(fresh.trained(), method.trained(), strict=True):
            own.copy_(kept)
    fresh._step = method._step
    for each in (method, fresh):
        adapt(each, second)
    assert len(method._given.texts) == 10
    torch.testing.assert_close(method.trained(), fresh.trained())
    torch.testing.assert_close(answers(method), answers(fresh))
    assert not torch.allclose(nll(method.language_model()), nll(backbone), rtol=1e-6, atol=0)


def test_fast_weights_of_a_text_go_on_from_those_of_another_support_set(backbone: CausalLM) -> None:
    first, second = parts()
    method = made(ContinualInPlaceTtt, backbone, {"chunk": 8, "share": 0.3, "cap": 1.0})
    assert torch.equal(nll(method.language_model()), nll(backbone))
    adapt(method, first)
    rates, layers = list(method.layers.rates), method.layers
    before = list(layers.start)
    method.continue_adapt()
    adapt(method, second)
    assert layers.rates == rates
    found, layers.start = list(layers.start), before
    texts = whole_texts(second, SHAPE)
    order = torch.randperm(len(texts), generator=SHAPE.generator()).tolist()
    with layers.active(joined=True, unfinished=True), torch.no_grad():
        for tokens in backbone.tokens(["".join(texts[place] for place in order)], backbone.context_length):
            backbone.decoder(input_ids=tokens.ids, attention_mask=tokens.mask, use_cache=False)
    torch.testing.assert_close(found, layers.states)
    assert not torch.allclose(found[0], before[0], rtol=1e-3)
    assert not torch.allclose(nll(method.language_model()), nll(backbone), rtol=1e-4, atol=0)
    assert not any(layers.sizes)  # generic texts have no part in the norms of queries


def test_what_is_made_for_one_support_set_does_not_go_on() -> None:
    plans: list[Any] = [ContinualPeft, ContinualTestTimeTraining]
    for cls in plans:
        assert "adalora" in (cls.continues(cls.Config(variant="adalora")) or "")
    assert "scope=both" in (ContinualInPlaceTtt.continues(ContinualInPlaceTtt.Config(scope="query")) or "")
    for field in ({"start": "support"}, {"loss": "distil"}):
        config = ContinualPrefixTuning.Config(**field)  # type: ignore[arg-type]
        assert "one support set" in (ContinualPrefixTuning.continues(config) or "")


@pytest.mark.slow
@named(KEPT)
def test_two_support_sets_one_after_the_other_are_as_one(backbone: CausalLM, cls: Any, config: dict[str, Any]) -> None:
    first, second = parts()
    method, plain = made(cls, backbone, config), made(cls.__bases__[-1], backbone, config)
    adapt(method, first)
    method.continue_adapt()
    adapt(method, second)
    with torch.no_grad():
        for part in (first, second):
            plain.observe(part)
        plain.solve()
    torch.testing.assert_close(answers(method), answers(plain), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@named([*SUMS, *DEMONSTRATIONS])
def test_what_is_forgotten_leaves_no_trace(backbone: CausalLM, cls: Any, config: dict[str, Any]) -> None:
    first, second = parts()
    alone, method = (made(cls, backbone, config) for _ in range(2))
    for each in (alone, method):
        adapt(each, first)
    method.continue_adapt()
    adapt(method, second)
    assert not torch.allclose(answers(alone), answers(method), rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        method.forget(second)
        method.solve()
    torch.testing.assert_close(answers(method), answers(alone), rtol=1e-4, atol=1e-5)
    assert issubclass(cls, Removing)
    assert cls.removes(cls.Config(**config))


@named(SUMS)
def test_sums_inside_are_those_of_the_other_to_the_last_digits(
    backbone: CausalLM, cls: type[Any], config: dict[str, Any]
) -> None:
    first, second = parts()
    alone, method = (made(cls, backbone, config) for _ in range(2))
    for each in (alone, method):
        adapt(each, first)
    adapt(method, second)
    method.forget(second)
    for own, other in zip(method.memories, alone.memories, strict=True):
        assert (own._sums.gram - other._sums.gram).abs().max() < 1e-9
        assert (own._sums.cross - other._sums.cross).abs().max() < 1e-9
    assert method.notes["support_tokens"] == alone.notes["support_tokens"]
    assert not cls.removes(cls.Config(**config, pairs="shuffled"))


def test_later_tokens_make_a_memory_that_decays_forget_earlier_ones(backbone: CausalLM) -> None:
    first, second = parts()
    method, alone = (made(ContinualHebbianInside, backbone, {"decay": 0.9}) for _ in range(2))
    adapt(method, first)
    method.continue_adapt()
    for each in (method, alone):
        adapt(each, second)
    found, expected = (each.memories[-1].weights for each in (method, alone))
    difference = float((found - expected).norm() / expected.norm())
    assert 0 < difference < 0.01


@pytest.mark.parametrize("cls", [ContinualFaastInside, ContinualKnnLm])
def test_generic_texts_are_read_through_the_memory(backbone: CausalLM, cls: Any) -> None:
    method = made(cls, backbone, {})
    assert torch.equal(nll(method.language_model()), nll(backbone))
    adapt(method, parts()[0])
    through = nll(method.language_model())
    assert not torch.allclose(through, nll(backbone), rtol=1e-4, atol=0)
    with method.hooks_active():
        torch.testing.assert_close(through, nll(backbone))


def test_a_sequence_takes_the_class_of_its_site() -> None:
    def method(name: str, **config: Any) -> type[Any]:
        fields = {"method": name, "config": config, "shots": 1, "seed": 0, "episodes": 1}
        sequence = {"task": "lexicon then lexicon_swapped", "backbone": "smollm2_135m", "queries": 1, "ways": None}
        return resolve(RunSpec.model_validate(sequence | fields)).method

    assert method("faast", site="hidden_states") is ContinualFaastInside
    assert method("faast").__name__ == "ContinualFaast"
