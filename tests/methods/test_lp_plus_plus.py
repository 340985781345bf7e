"""LP++ against the published iteration, written out for one episode with its gradients by hand."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from bench.testing.doubles import CosineBackbone
from bench.testing.driver import adapted
from bench.testing.problems import Problem, problem
from methods.lp_plus_plus import LpPlusPlus

SHAPES = {"few": problem(n_shot=3, sizes=[12, 9, 12]), "many": problem(n_shot=15, sizes=[60, 47, 60])}


def published(keys: Tensor, labels: Tensor, cosines: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Prototypes ``[way, dim]`` and blend ``[way]`` in float64."""
    count, target = len(keys), one_hot(labels, 4).double()
    prototypes = target.mT @ keys / target.sum(dim=0).unsqueeze(1)
    own = torch.stack([cosines[labels == label, label].mean() for label in range(4)])
    blend = 250 * own.mean() * torch.ones(4, dtype=torch.float64)
    rate = 4 * count / torch.linalg.matrix_norm(keys, ord=2) ** 2
    blend_rate = count / (4 * cosines.square().sum(dim=0).max())
    velocity = torch.zeros_like(prototypes)
    for step in range(steps):
        error = ((keys @ prototypes.mT + blend * cosines).softmax(dim=-1) - target) / count
        velocity = 0.9 * velocity + error.mT @ keys
        prototypes = prototypes - rate * velocity
        if step % 10 == 9:
            blend = blend - blend_rate * (error * cosines).sum(dim=0)
    return prototypes, blend


@pytest.mark.parametrize("given", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("steps", [1, 10, 60])
def test_equals_the_published_iteration(given: Problem, steps: int) -> None:
    scores = adapted(LpPlusPlus, given, steps=steps).predict(given.query).detach()
    class_logits = CosineBackbone().class_logits
    for episode in range(3):
        mask = given.support.mask[episode]
        keys, labels = given.support.keys[episode][mask].double(), given.support.labels[episode][mask]
        cosines = class_logits(given.support.prior, given.support.classes)[episode][mask].double() / 100
        prototypes, blend = published(keys, labels, cosines, steps)
        query = class_logits(given.query.prior, given.query.classes)[episode].double() / 100
        expected = given.query.keys[episode].double() @ prototypes.mT + blend * query
        torch.testing.assert_close(scores[episode].double(), expected, rtol=1e-4, atol=1e-3)


def test_iterations_lower_the_loss() -> None:
    given = problem()
    losses = [adapted(LpPlusPlus, given, steps=steps).loss(given.support).item() for steps in (1, 50, 300)]
    assert losses[0] > losses[1] > losses[2]


def test_an_episode_without_examples_scores_0() -> None:
    given = problem(sizes=[0, 12, 12])
    assert not adapted(LpPlusPlus, given, steps=20).predict(given.query)[0].any()
