"""Tip-Adapter against its formula; its trained form against one episode trained by itself."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from bench.testing.doubles import CosineBackbone
from bench.testing.driver import adapted
from bench.testing.items import masked
from bench.testing.problems import Problem, episodes_of, problem
from methods import tip_adapter_f
from methods._choice import chosen
from methods._held_out import draws, rank_in_class
from methods.tip_adapter import ALPHAS, BETAS, START, TipAdapter
from methods.tip_adapter_f import TipAdapterF
from tests.helpers.left_out import without

SIZES = [12, 7, 1]
GIVEN = {"alpha": 1.17, "beta": 1.0}


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
    scores = (
        adapted(TipAdapterF, given, batch_size=batch_size, lr=0.01, epochs=6, **GIVEN).predict(given.query).detach()
    )
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
    method = TipAdapterF(TipAdapterF.Config(lr=0.01, **GIVEN), CosineBackbone(), given.shape)
    start = method.loss(given.support).item()
    trained = adapted(TipAdapterF, given, lr=0.01, **GIVEN)
    assert trained.loss(given.support).item() < start


def test_large_caches_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    given = problem()
    method = adapted(TipAdapterF, given)
    expected = method.predict(given.query)
    monkeypatch.setattr(tip_adapter_f, "SCORES_AT_ONCE", 3 * 12 * 7)
    torch.testing.assert_close(method.predict(given.query), expected)


@pytest.mark.slow
def test_alpha_and_beta_are_the_best_with_each_item_left_out() -> None:
    given = problem(n_shot=3)
    found = adapted(TipAdapter, given, items_at_once=5)
    candidates = []
    for beta in (START[1], *BETAS):
        priors, caches = [], []
        for item in range(12):
            left = without(given, item)
            read = adapted(TipAdapter, left, alpha=1.0, beta=beta).cache.read(left.query.keys[:, item : item + 1])
            # The item's own class has two pairs of three.
            own = one_hot(given.support.labels[:, item : item + 1], 4)
            priors.append(zero_shot(left)[:, item : item + 1])
            caches.append(read * (1 + own / 2))
        prior, cache = torch.cat(priors, dim=1), torch.cat(caches, dim=1)
        candidates += [prior + alpha * cache for alpha in (START[0], *ALPHAS)]
    best = chosen(candidates, given.support.labels, given.support.mask, "accuracy")
    settings = torch.tensor(list(product((START[1], *BETAS), (START[0], *ALPHAS))))[best]
    torch.testing.assert_close(found.cache.beta.flatten(), settings[:, 0])
    torch.testing.assert_close(found.alpha.flatten(), settings[:, 1])


def useless_prior() -> Problem:
    """Classes that keys tell apart, and priors that point to a wrong one."""
    given = problem(n_shot=5, n_query=20)

    def turned(items: Any) -> Any:
        return replace(items, prior=items.prior.roll(1, dims=1))

    return replace(given, support=turned(given.support), query=turned(given.query))


@pytest.mark.slow
@pytest.mark.parametrize("cls", [TipAdapter, TipAdapterF])
def test_searched_settings_overcome_a_useless_prior(cls: type[TipAdapter | TipAdapterF]) -> None:
    given = useless_prior()
    # Clusters do not overlap, so that the nearest support item tells the class of a query.
    nearest = (given.query.keys @ given.support.keys.mT).argmax(dim=-1)
    labels = given.support.labels.gather(1, nearest)

    def accuracy(**config: Any) -> float:
        return float((adapted(cls, given, **config).predict(given.query).argmax(dim=-1) == labels).float().mean())

    assert accuracy() > accuracy(**GIVEN) + 0.15
    assert accuracy(prior="none") > 0.95


@pytest.mark.slow
def test_trained_caches_are_searched_by_items_that_they_were_not_trained_on() -> None:
    given = problem(n_shot=3)
    found = adapted(TipAdapterF, given, lr=0.01)
    support = given.support
    fold = rank_in_class(draws(support, given.shape.seed), support.labels, support.mask, 4) % 3
    candidates = [torch.zeros(3, 12, 4) for _ in product((START[1], *BETAS), (START[0], *ALPHAS))]
    for part in range(3):
        left = replace(given, support=masked(support, support.mask & (fold != part)))
        method = adapted(TipAdapterF, left, lr=0.01, **GIVEN)
        for number, (beta, alpha) in enumerate(product((START[1], *BETAS), (START[0], *ALPHAS))):
            method.alpha, method.beta = torch.full((3, 1, 1), alpha), torch.full((3, 1, 1), beta)
            query = replace(given.query, keys=support.keys, prior=support.prior, mask=support.mask)
            scores = method.predict(query)
            candidates[number] = torch.where((fold == part).unsqueeze(-1), scores, candidates[number])
    best = chosen(candidates, support.labels, support.mask, "accuracy")
    settings = torch.tensor(list(product((START[1], *BETAS), (START[0], *ALPHAS))))[best]
    torch.testing.assert_close(found.beta.flatten(), settings[:, 0])
    torch.testing.assert_close(found.alpha.flatten(), settings[:, 1])
    # Keys are those of training on all items with the starting values.
    torch.testing.assert_close(found.keys, adapted(TipAdapterF, given, lr=0.01, **GIVEN).keys)


@pytest.mark.parametrize("cls", [TipAdapter, TipAdapterF])
def test_with_one_example_per_class_the_published_starting_values_stay(cls: type[TipAdapter | TipAdapterF]) -> None:
    given = problem(n_shot=1)
    expected = adapted(cls, given, **GIVEN).predict(given.query)
    torch.testing.assert_close(adapted(cls, given).predict(given.query), expected)
