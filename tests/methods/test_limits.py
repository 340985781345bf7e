"""What a budget leaves of stores inside a language model, and of its context."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from bench.backbones.hf import CausalLM
from bench.contracts import Limits
from bench.testing.doubles import FakeLanguageModel
from bench.testing.driver import adapted
from bench.testing.problems import Problem, problem
from bench.testing.tiny_models import save_model
from methods.in_context import InContext
from methods.knn_lm import KnnLm
from methods.prompt_tuning import PromptTuning
from methods.softmax_memory import SoftmaxOnHiddenStates
from tests.helpers.language import problem_shape, query, support

STORES = pytest.mark.parametrize("cls", [SoftmaxOnHiddenStates, KnnLm])
MANY = [f"the word number {number} is not the word number {number * 7 % 50}" for number in range(40)]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp("llama"), "llama"))


def learnt(cls: Callable[..., Any], backbone: CausalLM, limit: int | None, at_once: int = len(MANY)) -> Any:
    method = cls(cls.Config(), backbone, replace(problem_shape(), limits=Limits(state_bytes=limit)))  # type: ignore[attr-defined]
    with torch.no_grad():
        for start in range(0, len(MANY), at_once):
            method.observe(support(MANY[start : start + at_once]))
        method.solve()
    return method


@pytest.mark.slow
@STORES
@pytest.mark.parametrize("at_once", [3, 40])
def test_a_store_of_tokens_fills_its_limit_and_keeps_to_it(cls: Any, backbone: CausalLM, at_once: int) -> None:
    whole = learnt(cls, backbone, None).state_bytes()
    limit = whole // 2
    held = learnt(cls, backbone, limit, at_once)
    assert 0.99 * limit <= held.state_bytes() <= limit
    assert held.predict(query(MANY[:2])).isfinite().all()


@STORES
def test_a_limit_that_leaves_room_keeps_every_token(cls: Any, backbone: CausalLM) -> None:
    free, roomy = learnt(cls, backbone, None), learnt(cls, backbone, 2**30)
    assert torch.equal(free.predict(query(MANY[:2])), roomy.predict(query(MANY[:2])))


@pytest.fixture
def given() -> Problem:
    return problem(n_episodes=1, n_way=3, n_shot=4)


def limited(given: Problem, **limits: int) -> InContext:
    shape = replace(given.shape, limits=Limits(**limits))
    method = adapted(InContext, replace(given, shape=shape), FakeLanguageModel())
    method.predict(given.query)
    return method


def test_demonstrations_are_dropped_to_fit_a_budget_of_tokens(given: Problem) -> None:
    whole = limited(given)
    assert whole.notes["demonstrations_kept"] == 12
    each = whole.context_tokens() / 12
    held = limited(given, tokens=int(5.5 * each))
    assert held.context_tokens() <= 5.5 * each
    assert held.notes == {"demonstrations_kept": 5, "demonstrations_dropped": 7}


def test_demonstrations_are_dropped_to_fit_a_budget_of_state(given: Problem) -> None:
    whole = limited(given).state_bytes()
    limit, largest = whole // 2, whole / 12 + 2
    held = limited(given, state_bytes=limit)
    # As many as fit: one more would not.
    assert limit - largest < held.state_bytes() <= limit
    assert sum(held.notes[name] for name in ("demonstrations_kept", "demonstrations_dropped")) == 12
    assert held.notes["demonstrations_kept"] < 12


def test_virtual_tokens_are_sized_by_their_number(backbone: CausalLM) -> None:
    sizes = [
        PromptTuning(PromptTuning.Config(virtual_tokens=count), backbone, problem_shape()).trainable_params()
        for count in (1, 3)
    ]
    assert sizes == [backbone.width, 3 * backbone.width]
