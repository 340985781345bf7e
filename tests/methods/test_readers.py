"""Softmax memory, linear attention and zero-shot against their formulas written out in float64."""

import pytest
import torch
from torch import Tensor

from bench.testing.driver import adapted
from bench.testing.problems import Problem, problem
from methods.linear_attention import LinearAttention
from methods.softmax_memory import SoftmaxOnFeatures
from methods.zero_shot import ZeroShot

SIZES = [12, 7, 1]


def pairs(given: Problem, episode: int) -> tuple[Tensor, Tensor, Tensor]:
    """Real keys, values and queries of an episode in float64."""
    mask = given.support.mask[episode]
    keys, values = given.support.keys[episode][mask], given.support.values[episode][mask]
    return keys.double(), values.double(), given.query.keys[episode].double()


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_softmax_memory_averages_values(scale: float) -> None:
    given = problem(sizes=SIZES)
    recalled = adapted(SoftmaxOnFeatures, given, items_at_once=5, scale=scale).recall(given.query)
    for episode in range(3):
        keys, values, queries = pairs(given, episode)
        expected = (scale * queries @ keys.mT).softmax(dim=-1) @ values
        torch.testing.assert_close(recalled[episode].double(), expected, rtol=1e-4, atol=1e-5)


def test_linear_attention_averages_values_around_their_mean() -> None:
    given = problem(sizes=SIZES)
    recalled = adapted(LinearAttention, given, items_at_once=5).recall(given.query)

    def phi(vector: Tensor) -> Tensor:
        centred = vector - vector.mean()
        return torch.where(centred > 0, centred, centred.exp() - 1) + 1

    for episode in range(3):
        keys, values, queries = pairs(given, episode)
        for item, query in enumerate(queries):
            weights = torch.stack([phi(query) @ phi(key) for key in keys])
            expected = (weights / weights.sum()) @ (values - values.mean(dim=0))
            torch.testing.assert_close(recalled[episode, item].double(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("cls", [SoftmaxOnFeatures, LinearAttention])
@pytest.mark.parametrize("prior_strength", [0.0, 4.0])
@pytest.mark.parametrize("sizes", [[0, 12, 5], [0, 0, 0]])
def test_an_episode_without_examples_answers_the_prior(
    cls: type[SoftmaxOnFeatures | LinearAttention], sizes: list[int], prior_strength: float
) -> None:
    given = problem(sizes=sizes, prior_strength=prior_strength)
    method = adapted(cls, given)
    assert torch.equal(method.recall(given.query)[0], torch.zeros_like(given.query.prior[0]))
    expected = method.backbone.class_logits(given.query.prior, given.query.classes)
    torch.testing.assert_close(method.predict(given.query)[0], expected[0])


def test_state_grows_with_the_store_but_not_with_sums() -> None:
    few, many = problem(n_shot=2), problem(n_shot=20)
    assert adapted(SoftmaxOnFeatures, many).state_bytes() > 5 * adapted(SoftmaxOnFeatures, few).state_bytes()
    assert adapted(LinearAttention, many).state_bytes() == adapted(LinearAttention, few).state_bytes()


def test_zero_shot_is_the_prior() -> None:
    given = problem()
    method = adapted(ZeroShot, given)
    assert torch.equal(
        method.predict(given.query), method.backbone.class_logits(given.query.prior, given.query.classes)
    )
    assert method.state_bytes() == 0
