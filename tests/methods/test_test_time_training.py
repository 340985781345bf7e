"""Test-time training: tasks of the support set, and the two methods that it joins."""

from typing import Any

import pytest
import torch
from torch import Tensor

from bench.backbones.hf import CausalLM
from bench.contracts import Kind
from bench.testing.driver import adapt, adapted
from bench.testing.problems import Problem, language_problem
from bench.testing.tiny_models import save_model
from methods.in_context import InContext
from methods.peft import Peft
from methods.test_time_training import TestTimeTraining
from tests.helpers.answered_texts import ANSWERS, PROMPTS, given

CLASSES = given(Kind.TEXT_CLASSIFICATION, PROMPTS, ANSWERS)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp("llama"), "llama", context=160))


def begun(backbone: CausalLM, problem: Problem = CLASSES, **config: Any) -> TestTimeTraining:
    """A method that has its support set, before any step."""
    method = TestTimeTraining(TestTimeTraining.Config(**config), backbone, problem.shape)
    method.begin(problem.support)
    return method


@torch.no_grad()
def test_before_any_step_it_is_in_context(backbone: CausalLM) -> None:
    for problem in (CLASSES, language_problem(Kind.TEXT_GENERATION)):
        found, expected = begun(backbone, problem), adapted(InContext, problem, backbone)
        ours, theirs = found.predict(problem.query), expected.predict(problem.query)
        if isinstance(ours, Tensor):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
        else:
            assert ours == theirs
        assert found.notes["demonstrations_kept"] == expected.notes["demonstrations_kept"]
        assert found.state_bytes() == 4 * found.trainable_params() + expected.state_bytes()
        assert found.context_tokens() == expected.context_tokens()


@pytest.mark.parametrize("loss", ["all", "last"])
def test_a_task_is_an_item_after_others_and_its_loss_covers_answers(backbone: CausalLM, loss: str) -> None:
    method = begun(backbone, loss=loss)
    decode = backbone.tokenizer.decode
    for item in range(3):
        whole, learnt = method.task(item)
        text = decode(whole)
        assert text.endswith(PROMPTS[item] + ANSWERS[item])
        assert text.count(PROMPTS[item]) == 1
        others = [other for other in range(3) if other != item]
        assert all(PROMPTS[other] in text for other in others)
        answers = [decode(part[1]) for part in _runs(whole, learnt)]
        first = min(others, key=lambda other: text.index(PROMPTS[other]))
        expected = [ANSWERS[other] for other in others if other != first] * (loss == "all") + [ANSWERS[item]]
        assert answers == expected
    method = begun(backbone, demonstrations=1, loss=loss)
    whole, learnt = method.task(0)
    assert sum(prompt in decode(whole) for prompt in PROMPTS) == 2
    assert [decode(part[1]) for part in _runs(whole, learnt)] == [ANSWERS[0]]


def _runs(whole: Tensor, learnt: Tensor) -> list[tuple[int, list[int]]]:
    """Stretches of tokens that are to be learnt."""
    found: list[tuple[int, list[int]]] = []
    for place, (token, wanted) in enumerate(zip(whole.tolist(), learnt.tolist(), strict=True)):
        if wanted and found and found[-1][0] == place - 1:
            found[-1] = (place, [*found[-1][1], token])
        elif wanted:
            found.append((place, [token]))
    return found


def test_answers_are_learnt_and_a_single_example_is_learnt_as_by_lora(backbone: CausalLM) -> None:
    method = TestTimeTraining(TestTimeTraining.Config(steps=15, lr=1e-2), backbone, CLASSES.shape)
    torch.manual_seed(0)
    first = float(method.loss(CLASSES.support).detach())
    adapt(method, CLASSES.support)
    torch.manual_seed(0)
    with torch.no_grad():
        assert float(method.batch_loss(CLASSES.support)) < first
    one = given(Kind.TEXT_CLASSIFICATION, PROMPTS[:1], ANSWERS[:2])
    alone = begun(backbone, one)
    assert alone.notes["tasks"] == "a single example, learnt as by lora"
    lora = Peft(Peft.Config(), backbone, one.shape)
    torch.testing.assert_close(alone.batch_loss(one.support), lora.batch_loss(one.support))
