"""Fast-Slow Training: its objectives in closed form, its Pareto rules, and what its four arms are."""

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.backbones.hf import CausalLM
from bench.contracts import Inputs, Kind
from bench.testing.driver import adapt, adapted
from bench.testing.problems import Problem
from bench.testing.tiny_models import save_model
from methods._answer_scores import answer_scores
from methods._fast_slow_loss import divergence, drawn_answers, expected_loss, sampled_loss
from methods._pareto import fronts, parent_weights, undominated_fronts
from methods._prompt_evolution import Evolution, Graded, Operators, Prompt
from methods.fast_slow import FastSlow
from methods.lora import Lora
from methods.zero_shot import ZeroShot
from tests.helpers.answered_texts import given as two_texts

ANSWERS = (" positive", " negative")
WORDS = ("happy", "awful", "very good", "very bad", "indeed", "so good", "so bad", "happy word")


def words(labels: tuple[int, ...] = (0, 1, 0, 1, 0, 0, 1, 0), names: tuple[str, ...] = ANSWERS) -> Problem:
    """One episode of labelled words; the queries are the same words."""
    texts = [f"Word: {word}\nSentiment:" for word in WORDS[: len(labels)]]
    made = two_texts(Kind.TEXT_CLASSIFICATION, texts, names)
    support = replace(made.support, labels=torch.tensor([list(labels)]))
    return Problem(support, made.query, replace(made.shape, n_support=len(labels)))


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp("llama"), "llama", context=160))


def answers(method: Any, given: Problem) -> Tensor:
    with torch.no_grad():
        found = method.predict(given.query)
    assert isinstance(found, Tensor)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("prompted", "nats"), [(0.0, 0.9514), (2.0, 0.2027)])
def test_slow_weights_move_less_where_a_prompt_helps(prompted: float, nats: float) -> None:
    """Four answers, a uniform base, and a prompt that adds 2 to the right one: to a reward of 0.9."""
    logits = torch.zeros(1, 1, 4, dtype=torch.double, requires_grad=True)
    prompt = torch.tensor([prompted, 0, 0, 0], dtype=torch.double)
    label, optimizer = torch.tensor([0]), torch.optim.SGD([logits], lr=0.01)
    while (loss := expected_loss(logits + prompt, label)) > -0.9:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(divergence(logits.detach(), torch.zeros(1, 1, 4))) == pytest.approx(nats, abs=1e-3)


@pytest.mark.parametrize("prompts", [1, 4])
def test_the_sampled_gradient_is_the_exact_one_on_average(prompts: int) -> None:
    """Without the division by the standard deviation, and times 1 - 1 / G: a group's own draw is in its mean."""
    rollouts, draws = 8, 20_000
    logits = torch.randn(prompts, 1, 3, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    logits.requires_grad_()
    exact = torch.autograd.grad(expected_loss(logits, torch.tensor([1])), logits)[0]
    scores = logits.expand(-1, draws, -1)
    chosen = drawn_answers(scores, [rollouts // prompts] * prompts, torch.Generator().manual_seed(1))
    loss = sampled_loss(scores, torch.ones(draws, dtype=torch.long), chosen, 4.0, scaled=False)
    sampled = torch.autograd.grad(loss, logits)[0]
    assert (sampled - (1 - 1 / rollouts) * exact).norm() < 0.05 * exact.norm()


def test_answers_that_are_all_right_or_all_wrong_teach_nothing() -> None:
    logits = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    same = [torch.tensor([[0, 0], [1, 1], [3, 3]])] * 2
    sampled_loss(logits, torch.tensor([0, 2, 3]), same, 4.0).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert not logits.grad.any()


def test_the_clip_is_idle_on_policy_and_bounds_the_ratio_elsewhere() -> None:
    scores = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    chosen, labels = drawn_answers(scores, [4, 4], torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2])
    assert torch.equal(sampled_loss(scores, labels, chosen, 4.0), sampled_loss(scores, labels, chosen, 1e6))
    before = -3 * scores
    clipped, free = (sampled_loss(scores, labels, chosen, clip, before=before) for clip in (0.5, 1e6))
    assert not torch.allclose(clipped, free)


def matrices() -> list[list[list[float]]]:
    """200 score matrices, with ties and without."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(200):
        shape = rng.integers(1, 7), rng.integers(1, 9)
        values = rng.integers(0, 2 + number % 3, shape) if number % 4 else rng.random(shape)
        made.append(values.astype(float).tolist())
    return made


class Urn(random.Random):
    """Keeps what it draws a parent from."""

    content: Any = ()

    def choice(self, seq: Any) -> Any:
        self.content = list(seq)
        return super().choice(seq)


def test_pareto_fronts_and_weights_are_those_of_gepa() -> None:
    utils = pytest.importorskip("gepa.gepa_utils")
    for scores in matrices():
        given = {item: set(front) for item, front in enumerate(fronts(scores))}
        totals = [sum(own) for own in scores]
        left = utils.remove_dominated_programs(given, scores=totals)
        assert [sorted(front) for front in undominated_fronts(scores)] == [sorted(front) for front in left.values()]
        urn = Urn()
        assert utils.select_program_candidate_from_pareto_front(given, totals, urn) in urn.content
        assert parent_weights(scores) == Counter(urn.content)


def test_a_dominated_candidate_is_no_parent() -> None:
    """The second is nowhere alone the best; of two that are as good everywhere the first goes, having come first."""
    assert fronts([[1, 1, 0], [1, 0, 0], [0, 0, 1]]) == [[0, 1], [0], [2]]
    assert undominated_fronts([[1, 1, 0], [1, 0, 0], [0, 0, 1]]) == [[0], [0], [2]]
    assert parent_weights([[1, 1, 0], [1, 0, 0], [0, 0, 1]]) == {0: 2, 2: 1}
    assert parent_weights([[1, 0], [1, 0]]) == {1: 2}
    for scores in matrices():
        left = undominated_fronts(scores)
        kept = {each for front in left for each in front}
        assert all(front for front in left)
        assert all(any(front == [each] for front in left) for each in kept) or len(kept) == 1


def test_evolution_finds_a_prompt_that_is_better_and_keeps_to_its_calls() -> None:
    """Items are answered rightly after a demonstration of their parity."""

    def grade(prompt: Prompt, items: Any) -> Graded:
        parities = {shown % 2 for shown in prompt.demonstrations}
        return Graded(tuple(float(item % 2 in parities) for item in items), 0.0)

    operators = Operators(4, True, torch.Generator().manual_seed(0))
    evolution = Evolution(3, grade, operators)
    assert evolution.cycle(range(10), 100) == 1.0
    assert evolution.calls <= 110
    assert 1 <= len(evolution.population) <= 3
    assert {shown % 2 for shown in evolution.best(range(10)).demonstrations} == {0, 1}
    before = evolution.calls
    evolution.cycle(range(10), 30)
    assert evolution.calls <= before + 10 * len(evolution.population) + 30 + 20


def test_a_cycle_scores_the_population_anew_and_a_child_has_to_be_better_than_its_parent() -> None:
    """The model has changed since: what was the best prompt need not be it any more."""
    wanted, one, other = "", Prompt("one"), Prompt("other")

    def grade(prompt: Prompt, items: Any) -> Graded:
        return Graded((float(prompt.instruction == wanted),) * len(items), 0.0)

    evolution = Evolution(2, grade, Operators(4, True, torch.Generator().manual_seed(0)), [one, other])
    for wanted in ("other", "one"):
        # No calls but those that score the population: the other one is dominated.
        evolution.population = [one, other]
        assert evolution.cycle(range(6), 0) == 1.0
        assert evolution.population == [Prompt(wanted)]
    wanted = "none of them"
    assert evolution.cycle(range(6), 200) == 0.0
    assert evolution.population == [one], "a child that is only as good is left out"


def test_scores_with_gradients_are_those_of_the_model(backbone: CausalLM) -> None:
    prompts = ["Word: happy\nSentiment:", "Word: awful\nSentiment: negative\nWord: very bad\nSentiment:"]
    for names in (ANSWERS, (" positive", " very bad indeed", " negative word")):
        expected = backbone.loglikelihood("", prompts, names)
        with torch.no_grad():
            torch.testing.assert_close(answer_scores(backbone, prompts, names), expected, rtol=1e-4, atol=1e-4)


def test_without_fast_and_slow_it_is_zero_shot(backbone: CausalLM) -> None:
    given = words()
    method = adapted(FastSlow, given, backbone, fast=False, slow=False)
    assert torch.equal(answers(method, given), answers(adapted(ZeroShot, given, backbone), given))
    assert (method.state_bytes(), method.trainable_params(), method.context_tokens()) == (0, 0, 0)


def test_slow_alone_with_labels_is_lora(backbone: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """With LoRA's optimizer and batches; the schedule of Fast-Slow Training is its own."""
    given, config = words(), {"steps": 3, "lr": 0.01, "batch_size": 8}
    lora = adapted(Lora, given, backbone, alpha=16, **config)
    monkeypatch.setattr(FastSlow, "optimizer", Lora.optimizer)
    method = adapted(FastSlow, given, backbone, fast=False, objective="supervised", kl=0.0, **config)
    for ours, theirs in zip(method.trained(), lora.trained(), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(answers(method, given), answers(lora, given))


def test_batches_are_those_that_lora_is_given(backbone: CausalLM) -> None:
    method = FastSlow(FastSlow.Config(fast=False, batch_size=3), backbone, words().shape)
    method._begin(words().support)
    rng = np.random.default_rng(method.shape.seed)
    for _ in range(2):
        order = rng.permutation(8)
        for start in (0, 3):
            assert next(method._batches) == order[start : start + 3].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["rl", "exact", "supervised"])
def test_prompts_and_weights_move_and_nothing_leaks(backbone: CausalLM, objective: str) -> None:
    given = words()
    poison = Inputs(given.query.inputs.positions, lambda wanted: ["POISON: do not read\nSentiment:"] * len(wanted))
    given = Problem(given.support, replace(given.query, inputs=poison), given.shape)
    config = {"steps": 4, "steps_per_cycle": 2, "batch_size": 4, "population": 2, "lr": 0.05, "validation": 0.0}
    method = FastSlow(FastSlow.Config(objective=objective, **config), backbone, given.shape)
    seen: list[str] = []
    render = method._given.text

    def watched(prompt: Prompt, item: int) -> str:
        text = render(prompt, item)
        own = method._given.texts[item]
        assert text.endswith(method._given.prompts[item])
        assert own not in text  # an item is never shown with its answer in its own prompt
        seen.append(text)
        return text

    method._given.text = watched  # type: ignore[method-assign]
    adapt(method, given.support)
    assert not any("POISON" in text for text in seen)
    assert any(parameter.abs().sum() > 0 for parameter in method.trained())
    assert [row["steps"] for row in method.notes["fast_slow_curve"]] == [0, 2, 4]
    assert method.notes["kl_to_base"] > 0
    assert method.notes["metric_calls"] > 0
    scores = answers(method, given)
    assert scores.isfinite().all()


def test_an_item_is_left_out_of_its_own_prompt(backbone: CausalLM) -> None:
    method = FastSlow(FastSlow.Config(), backbone, words().shape)
    method._begin(words().support)
    prompt = Prompt("Be brief.", (0, 1))
    assert method._given.text(prompt, 0) == "Be brief.\n" + method._given.texts[1] + method._given.prompts[0]
    assert method._given.text(prompt, 2) == "Be brief.\n" + "".join(method._given.texts[:2]) + method._given.prompts[2]


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["rl", "exact", "supervised"])
def test_the_loss_has_the_divergence_from_the_base_model(backbone: CausalLM, objective: str) -> None:
    given, prompts, items = words(), [Prompt(), Prompt("Be brief.", (4, 5))], [0, 1, 2]
    losses = []
    for weight in (0.0, 2.0):
        method = FastSlow(FastSlow.Config(objective=objective, kl=weight), backbone, given.shape)
        method._begin(given.support)
        method.reader.eval()
        with torch.no_grad():
            for number, parameter in enumerate(method.trained()):
                parameter.normal_(std=0.2, generator=torch.Generator().manual_seed(number))
            losses.append(float(method._slow_loss(prompts, items)))
    policy, base = (method._scored(each, prompts, items).log_softmax(dim=-1) for each in (method.reader, backbone))
    expected = float((policy.exp() * (policy - base)).sum(dim=-1).mean())
    assert expected > 1e-3
    assert losses[1] - losses[0] == pytest.approx(2 * expected, rel=1e-2)


def test_what_is_held_out_is_neither_trained_on_nor_shown(backbone: CausalLM) -> None:
    method = FastSlow(FastSlow.Config(validation=0.4, batch_size=2), backbone, words().shape)
    method._begin(words().support)
    held = set(method._validation)
    assert len(held) == 3  # two of five, one of three
    drawn = {item for _ in range(20) for item in next(method._batches)}
    assert drawn == set(range(8)) - held


def test_a_reflection_model_writes_instructions(backbone: CausalLM) -> None:
    given, requests = words(), list[str]()

    class Reflection:
        def generate(self, prompts: list[str], most: int) -> list[str]:
            requests.extend(prompts)
            return [" Say the sentiment. "]

    config = {"steps": 2, "steps_per_cycle": 1, "demonstrations": 0, "slow": False, "validation": 0.0}
    method = FastSlow(FastSlow.Config(proposer="model", **config), backbone, given.shape)
    object.__setattr__(method, "reflection", Reflection())
    adapt(method, given.support)
    assert requests
    assert all("Sentiment:" in text and "A better instruction" in text for text in requests)
    assert method.notes["instruction"] in {"", "Say the sentiment."}


@pytest.mark.slow
def test_it_goes_on_with_another_task(backbone: CausalLM) -> None:
    given, swapped = words(), words((1, 0, 1, 0, 1, 1, 0, 1))
    method = adapted(FastSlow, given, backbone, steps=2, steps_per_cycle=1, lr=0.05, population=2)
    first = [parameter.clone() for parameter in method.trained()]
    method.continue_adapt()
    assert all(torch.equal(now, then) for now, then in zip(method.trained(), first, strict=True))
    adapt(method, swapped.support)
    assert not all(torch.equal(now, then) for now, then in zip(method.trained(), first, strict=True))
    assert method.language_model() is method.reader
    assert len(method._given.texts) == 8


@pytest.mark.slow
def test_both_learn_labels_that_only_examples_tell(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A model that is sure of the opposite: exact reward leads each arm with slow weights to the labels."""
    backbone = CausalLM(save_model(tmp_path_factory.mktemp("gpt2"), "gpt2", context=160))
    given = words()
    base = answers(adapted(ZeroShot, given, backbone), given)[0].argmax(dim=-1)
    planted = words(tuple((1 - base).tolist()))
    found = {}
    for fast, slow in [(False, False), (False, True), (True, True)]:
        config = {"steps": 30, "batch_size": 8, "objective": "exact", "lr": 0.02, "population": 2, "validation": 0.0}
        method = adapted(FastSlow, planted, backbone, fast=fast, slow=slow, **config)
        right = answers(method, planted)[0].argmax(dim=-1) == planted.support.labels[0]
        found[fast, slow] = float(right.double().mean())
    assert found[False, False] == 0
    assert found[False, True] > 0.5
    assert found[True, True] > 0.5
