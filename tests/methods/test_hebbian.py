"""Hebbian fast weights: the explicit recurrence, the attention form, order and batches."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from bench.testing.driver import adapted
from bench.testing.items import columns
from bench.testing.problems import Problem, problem
from methods._hebbian_memory import HebbianMemory
from methods._held_out import draws
from methods.hebbian import HebbianOnFeatures

SIZES = [40, 23, 1]


@pytest.fixture
def given() -> Problem:
    return problem(n_shot=10, sizes=SIZES)


def memory_of(given: Problem, decay: float, at_once: int) -> HebbianMemory:
    """The memory alone, with pairs in the order of the support."""
    memory = HebbianMemory(3, 16, 12, decay)
    support = given.support
    for part in zip(
        *(torch.split(each, at_once, 1) for each in (support.keys, support.values, support.mask)), strict=True
    ):
        memory.observe(*part)
    memory.solve()
    return memory


def pairs(given: Problem, episode: int) -> tuple[Tensor, Tensor]:
    mask = given.support.mask[episode]
    return given.support.keys[episode][mask].double(), given.support.values[episode][mask].double()


@pytest.mark.parametrize("decay", [0.5, 0.95, 1.0])
@pytest.mark.parametrize("at_once", [1, 7, 40])
def test_memory_equals_the_recurrence_and_attention(given: Problem, decay: float, at_once: int) -> None:
    # Padding between pairs too, which must not count as time.
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    given = replace(given, support=columns(given.support, order))
    answers = memory_of(given, decay, at_once).read(given.query.keys)
    for episode in range(3):
        keys, values = pairs(given, episode)
        queries = given.query.keys[episode].double()
        matrix = torch.zeros(12, 16, dtype=torch.float64)
        for key, value in zip(keys, values, strict=True):
            matrix = decay * matrix + torch.outer(value, key)
        torch.testing.assert_close(answers[episode].double(), queries @ matrix.mT, rtol=1e-5, atol=1e-6)
        age = torch.arange(len(keys)).flip(0)
        attention = (queries @ keys.mT * decay**age) @ values
        torch.testing.assert_close(answers[episode].double(), attention, rtol=1e-5, atol=1e-6)


def test_only_without_decay_does_the_memory_forget_order(given: Problem) -> None:
    backwards = replace(given, support=columns(given.support, torch.arange(39, -1, -1)))
    same = [memory_of(each, 1.0, 40).weights for each in (given, backwards)]
    torch.testing.assert_close(*same)
    other = [memory_of(each, 0.95, 40).weights for each in (given, backwards)]
    assert (other[0] - other[1]).abs().max() > 0.1


@pytest.mark.parametrize("decay", [0.5, 0.95, 1.0])
def test_pairs_arrive_shuffled_and_answers_have_the_priors_length(given: Problem, decay: float) -> None:
    query = replace(given.query, prior=3 * given.query.prior)
    recalled = adapted(HebbianOnFeatures, given, items_at_once=7, decay=decay).recall(query)
    draw = draws(given.support, given.shape.seed)
    for episode in range(3):
        keys, values = pairs(given, episode)
        age = draw[episode][given.support.mask[episode]].argsort().argsort()
        answer = (query.keys[episode].double() @ keys.mT * decay**age) @ values
        expected = 3 * normalize(answer, dim=-1)
        torch.testing.assert_close(recalled[episode].double(), expected, rtol=1e-4, atol=1e-5)


def test_keeps_no_more_pairs_than_weigh_something() -> None:
    given = problem(n_shot=30)
    method = HebbianOnFeatures(
        HebbianOnFeatures.Config(decay=0.5), adapted(HebbianOnFeatures, given).backbone, given.shape
    )
    method.observe(given.support)
    assert method._recent is not None
    assert method._recent.mask.shape[1] == 27  # 0.5 ** 27 < 1e-8


@pytest.mark.parametrize("decay", [0.95, 1.0])
@pytest.mark.parametrize("sizes", [[0, 12, 5], [0, 0, 0]])
def test_an_episode_without_examples_answers_the_prior(sizes: list[int], decay: float) -> None:
    given = problem(sizes=sizes)
    method = adapted(HebbianOnFeatures, given, decay=decay)
    expected = method.backbone.class_logits(given.query.prior, given.query.classes)
    torch.testing.assert_close(method.predict(given.query)[0], expected[0])
