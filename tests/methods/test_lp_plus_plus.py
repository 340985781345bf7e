"""LP++ against the iterations of the paper and of its program, each written out for one episode."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

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


def program(keys: Tensor, labels: Tensor, cosines: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Prototypes ``[way, dim]``, bias ``[way]`` and blend ``[1, way]``, by the steps of the authors' program."""
    target = one_hot(labels, 4).double()
    classifier = torch.nn.Linear(keys.shape[1], 4).double()
    classifier.weight.data = target.mT @ keys
    classifier.bias.data.zero_()
    own = torch.stack([cosines[labels == label, label].mean() for label in range(4)])
    blend = (250 * own.mean() * torch.ones(1, 4, dtype=torch.float64)).requires_grad_()
    rate = 4 * len(keys) / torch.linalg.eigvalsh(keys.mT @ keys)[-1]
    blend_rate = len(keys) / (4 * cosines.square().sum(dim=0).max())
    optimizer = torch.optim.SGD(classifier.parameters(), float(rate), momentum=0.9)
    for epoch in range(steps):
        loss = cross_entropy(classifier(keys) + blend * cosines, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (epoch + 1) % 10 == 0:
            blend.data -= blend_rate * blend.grad
    return classifier.weight.detach(), classifier.bias.detach(), blend.detach()


@pytest.mark.parametrize("given", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("steps", [1, 10, 60])
def test_by_default_equals_the_authors_program(given: Problem, steps: int) -> None:
    scores = adapted(LpPlusPlus, given, steps=steps).predict(given.query).detach()
    class_logits = CosineBackbone().class_logits
    for episode in range(3):
        mask = given.support.mask[episode]
        keys, labels = given.support.keys[episode][mask].double(), given.support.labels[episode][mask]
        cosines = class_logits(given.support.prior, given.support.classes)[episode][mask].double() / 100
        prototypes, bias, blend = program(keys, labels, cosines, steps)
        query = class_logits(given.query.prior, given.query.classes)[episode].double() / 100
        expected = given.query.keys[episode].double() @ prototypes.mT + bias + blend * query
        torch.testing.assert_close(scores[episode].double(), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("given", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("steps", [1, 10, 60])
def test_the_form_of_the_paper_equals_its_iteration(given: Problem, steps: int) -> None:
    scores = adapted(LpPlusPlus, given, steps=steps, variant="paper").predict(given.query).detach()
    class_logits = CosineBackbone().class_logits
    for episode in range(3):
        mask = given.support.mask[episode]
        keys, labels = given.support.keys[episode][mask].double(), given.support.labels[episode][mask]
        cosines = class_logits(given.support.prior, given.support.classes)[episode][mask].double() / 100
        prototypes, blend = published(keys, labels, cosines, steps)
        query = class_logits(given.query.prior, given.query.classes)[episode].double() / 100
        expected = given.query.keys[episode].double() @ prototypes.mT + blend * query
        torch.testing.assert_close(scores[episode].double(), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["code", "paper"])
def test_iterations_lower_the_loss(variant: str) -> None:
    given = problem()
    losses = []
    for steps in (1, 50, 300):
        losses.append(adapted(LpPlusPlus, given, steps=steps, variant=variant).loss(given.support).item())
    assert losses[0] >= losses[1] >= losses[2]
    assert losses[0] > losses[2]


def test_an_episode_without_examples_scores_0() -> None:
    given = problem(sizes=[0, 12, 12])
    assert not adapted(LpPlusPlus, given, steps=20).predict(given.query)[0].any()
