"""Tip-Adapter against its formula; its trained form against one episode trained by itself."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from bench.testing.doubles import CosineBackbone
from bench.testing.driver import adapted
from bench.testing.problems import Problem, episodes_of, problem
from methods import tip_adapter_f
from methods._held_out import draws
from methods.tip_adapter import TipAdapter
from methods.tip_adapter_f import TipAdapterF

SIZES = [12, 7, 1]


def zero_shot(given: Problem) -> Tensor:
    return CosineBackbone().class_logits(given.query.prior, given.query.classes)


def cached(queries: Tensor, keys: Tensor, labels: Tensor, alpha: float, beta: float) -> Tensor:
    return alpha * torch.exp(-beta * (1 - queries @ keys.mT)) @ one_hot(labels, 4).to(keys)


@pytest.mark.parametrize(("alpha", "beta"), [(1.17, 1.0), (3.0, 5.5)])
def test_equals_the_formula(alpha: float, beta: float) -> None:
    given = problem(sizes=SIZES)
    scores = adapted(TipAdapter, given, items_at_once=5, alpha=alpha, beta=beta).predict(given.query)
    for episode in range(3):
        mask = given.support.mask[episode]
        keys, labels = given.support.keys[episode][mask], given.support.labels[episode][mask]
        expected = zero_shot(given)[episode] + cached(given.query.keys[episode], keys, labels, alpha, beta)
        torch.testing.assert_close(scores[episode], expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("cls", [TipAdapter, TipAdapterF])
def test_an_episode_without_examples_answers_the_prior(cls: type[TipAdapter | TipAdapterF]) -> None:
    given = problem(sizes=[0, 12, 5])
    scores = adapted(cls, given).predict(given.query)
    torch.testing.assert_close(scores[0], zero_shot(given)[0])


@pytest.mark.parametrize("batch_size", [256, 5])
def test_training_equals_one_episode_by_itself(batch_size: int) -> None:
    given = problem(n_shot=3)
    scores = adapted(TipAdapterF, given, batch_size=batch_size, lr=0.01, epochs=6).predict(given.query).detach()
    for episode in range(3):
        alone = episodes_of(given, slice(episode, episode + 1))
        order = draws(alone.support, alone.shape.seed)[0].argsort()
        features, labels = alone.support.keys[0][order], alone.support.labels[0][order]
        prior = CosineBackbone().class_logits(alone.support.prior, alone.support.classes)[0][order]
        keys = torch.nn.Parameter(features.clone())
        optimizer = torch.optim.AdamW([keys], lr=0.01, eps=1e-4)
        steps = 6 * -(-12 // batch_size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(6):
            for part in torch.arange(12).split(batch_size):
                logits = prior[part] + cached(features[part], keys, labels, 1.17, 1.0)
                optimizer.zero_grad()
                cross_entropy(logits, labels[part]).backward()
                optimizer.step()
                schedule.step()
        expected = zero_shot(given)[episode] + cached(alone.query.keys[0], keys, labels, 1.17, 1.0).detach()
        torch.testing.assert_close(scores[episode], expected, rtol=1e-4, atol=1e-3)


def test_training_lowers_the_loss() -> None:
    given = problem()
    method = TipAdapterF(TipAdapterF.Config(lr=0.01), CosineBackbone(), given.shape)
    start = method.loss(given.support).item()
    trained = adapted(TipAdapterF, given, lr=0.01)
    assert trained.loss(given.support).item() < start


def test_large_caches_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    given = problem()
    method = adapted(TipAdapterF, given)
    expected = method.predict(given.query)
    monkeypatch.setattr(tip_adapter_f, "SCORES_AT_ONCE", 3 * 12 * 7)
    torch.testing.assert_close(method.predict(given.query), expected)
