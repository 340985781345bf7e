"""GDA against the published formula in NumPy, and its choice of alpha against a plain loop."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.covariance import empirical_covariance

from bench.testing.driver import adapted
from bench.testing.problems import Problem, problem
from methods._choice import chosen
from methods.gda import ALPHAS, Gda
from tests.helpers.items import held_fifth, support_of

SHAPES = {"few": problem(n_shot=3, sizes=[12, 9, 12]), "many": problem(n_shot=15, sizes=[60, 47, 60])}
every_shape = pytest.mark.parametrize("given", SHAPES.values(), ids=SHAPES.keys())
Array = NDArray[np.float64]


def discriminant(keys: Array, labels: Array, queries: Array) -> Array:
    """``f w + b`` with ``S^-1 = d pinv((N - 1) S + tr(S) I)``, as published."""
    means = np.stack([keys[labels == label].mean(axis=0) for label in range(4)])
    n_items, dim = keys.shape
    centred = keys - means[labels.astype(int)]
    covariance = empirical_covariance(centred, assume_centered=True) * n_items / (n_items - 1)
    inverse = dim * np.linalg.pinv((n_items - 1) * covariance + np.trace(covariance) * np.eye(dim))
    bias = -math.log(4) - np.einsum("cd,de,ce->c", means, inverse, means) / 2
    answer: Array = queries @ inverse @ means.T + bias
    return answer


@every_shape
@pytest.mark.parametrize("alpha", [0.01, 1.0])
def test_equals_the_published_formula(given: Problem, alpha: float) -> None:
    method = adapted(Gda, given, items_at_once=7, alpha=alpha)
    zero_shot = method.backbone.class_logits(given.query.prior, given.query.classes).double()
    scores = method.predict(given.query).double()
    for episode in range(3):
        ours = discriminant(*support_of(given, episode), given.query.keys[episode].double().numpy())
        expected = zero_shot[episode] + alpha * torch.from_numpy(ours)
        torch.testing.assert_close(scores[episode], expected, rtol=1e-5, atol=1e-4)


def spread(found: torch.Tensor) -> torch.Tensor:
    return found.sub(found.mean(dim=-1, keepdim=True)).square().mean().sqrt()


@every_shape
def test_alpha_is_the_best_on_a_fifth_or_the_prior_s_share_then_all_is_refitted(given: Problem) -> None:
    method = adapted(Gda, given, items_at_once=7)
    zero_shot = method.backbone.class_logits(given.query.prior, given.query.classes).double()
    held_zero_shot = method.backbone.class_logits(given.support.prior, given.support.classes).double()
    scores = method.predict(given.query).double()
    for episode in range(3):
        keys, labels = support_of(given, episode)
        held = held_fifth(given, episode).numpy()
        prior = held_zero_shot[episode][given.support.mask[episode]]
        everything = torch.from_numpy(discriminant(keys, labels, keys))
        default = float(len(keys) / 4 * spread(prior) / spread(everything))
        ours = torch.from_numpy(discriminant(keys[~held], labels[~held], keys[held]))
        alphas = (default, *ALPHAS)
        candidates = [(prior[held] + alpha * ours)[None] for alpha in alphas]
        target = torch.from_numpy(labels[held])[None]
        alpha = alphas[int(chosen(candidates, target, torch.ones_like(target, dtype=torch.bool), "accuracy"))]
        found = discriminant(keys, labels, given.query.keys[episode].double().numpy())
        expected = zero_shot[episode] + alpha * torch.from_numpy(found)
        torch.testing.assert_close(scores[episode], expected, rtol=1e-5, atol=1e-4)


def test_the_discriminant_alone_is_that_without_zero_shot_logits() -> None:
    given = SHAPES["few"]
    method = adapted(Gda, given, alpha=1.0)
    zero_shot = method.backbone.class_logits(given.query.prior, given.query.classes)
    alone = adapted(Gda, given, prior="none").predict(given.query)
    torch.testing.assert_close(alone, method.predict(given.query) - zero_shot, rtol=1e-4, atol=1e-4)


def test_one_example_per_class_is_taken_to_scatter_alike_in_all_directions() -> None:
    given = problem(n_shot=1)
    method = adapted(Gda, given, alpha=1.0)
    zero_shot = method.backbone.class_logits(given.query.prior, given.query.classes)
    order = given.support.labels.argsort(dim=1)
    means = given.support.keys.gather(1, order.unsqueeze(-1).expand(-1, -1, 16))
    # 4 examples of width 16: S^-1 = d / ((N - 1) / d + 1) I.
    inverse = 16 / (3 / 16 + 1)
    expected = zero_shot + inverse * (given.query.keys @ means.mT - 0.5) - math.log(4)
    torch.testing.assert_close(method.predict(given.query), expected, rtol=1e-5, atol=1e-4)


def test_an_episode_without_examples_answers_the_prior() -> None:
    given = problem(sizes=[0, 12, 5])
    method = adapted(Gda, given)
    expected = method.backbone.class_logits(given.query.prior, given.query.classes)[0]
    difference = method.predict(given.query)[0] - expected
    # The same for every class, so that the prior decides.
    torch.testing.assert_close(difference, difference[:, :1].expand_as(difference))
