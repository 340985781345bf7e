"""The linear projection against one episode trained by itself, and its validation."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from bench.testing.doubles import CosineBackbone
from bench.testing.driver import adapted
from bench.testing.problems import Problem, episodes_of, problem
from methods._held_out import draws, n_held_out
from methods.linear_projection import ProjectionOnFeatures

class_logits = CosineBackbone().class_logits


def hard(**options: Any) -> Problem:
    """A problem whose priors say little, so that training has something to do and epochs differ."""
    given = problem(**options)
    rng = torch.Generator().manual_seed(11)

    def spoilt(prior: Tensor) -> Tensor:
        return normalize(prior + torch.randn(prior.shape, generator=rng), dim=-1)

    return replace(
        given,
        support=replace(given.support, prior=spoilt(given.support.prior)),
        query=replace(given.query, prior=spoilt(given.query.prior)),
    )


def trained(
    given: Problem, *, batch_size: int, epochs: int, lr: float, patience: int | None,
    validation_parts: int = 8, reshuffle: bool = False, decay_to_identity: float = 0.0,
) -> tuple[Tensor, int]:  # fmt: skip
    """P of the best epoch of a single episode, and that epoch, by an ordinary training loop."""
    support = given.support
    order = draws(support, given.shape.seed)[0].argsort()
    keys, prior, labels = (tensor[0][order] for tensor in (support.keys, support.prior, support.labels))
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(given.shape.n_way):
        members = (labels == label).nonzero().squeeze(1)
        held[members[: int(n_held_out(torch.tensor(len(members)), validation_parts))]] = True
    projection = torch.nn.Parameter(torch.zeros(given.shape.value_dim, given.shape.key_dim))
    optimizer = torch.optim.SGD([projection], lr=lr, momentum=0.9)
    best, best_epoch, best_accuracy = projection.detach().clone(), 0, -1.0

    def scores(index: Tensor) -> Tensor:
        return class_logits((prior[index] + keys[index] @ projection.mT)[None], support.classes)[0]

    items = (~held).nonzero().squeeze(1)
    for epoch in range(1, epochs + 1):
        optimizer.param_groups[0]["lr"] = lr if epoch <= epochs // 2 else lr / 10
        if reshuffle:
            numbers = np.random.default_rng([given.shape.seed, epoch - 1]).random(len(items))
            items = items[torch.from_numpy(numbers.argsort())]
        for part in items.split(batch_size):
            optimizer.zero_grad()
            loss = cross_entropy(scores(part), labels[part]) + decay_to_identity * projection.square().sum()
            loss.backward()
            optimizer.step()
        accuracy = (scores(held).argmax(dim=-1) == labels[held]).float().mean().item() if held.any() else float(epoch)
        if accuracy > best_accuracy:
            best, best_epoch, best_accuracy = projection.detach().clone(), epoch, accuracy
        if patience is not None and epoch - best_epoch >= patience:
            break
    return best, best_epoch


PUBLISHED = {"validation_parts": 5, "patience": None, "reshuffle": True}
"""Of full support sets."""
DECAY = {"decay_to_identity": 5.0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_shot", "small_print"), [(1, {}), (2, {}), (9, {}), (10, PUBLISHED), (1, PUBLISHED), (9, DECAY)]
)
def test_equals_one_episode_by_itself(n_shot: int, small_print: dict[str, Any]) -> None:
    given = hard(n_episodes=6, n_shot=n_shot)
    options: dict[str, Any] = {"batch_size": 5, "epochs": 12, "lr": 2e-3, "patience": 2, **small_print}
    method = adapted(ProjectionOnFeatures, given, **options)
    epochs = set()
    for episode in range(6):
        expected, best_epoch = trained(episodes_of(given, slice(episode, episode + 1)), **options)
        torch.testing.assert_close(method.best[episode], expected, rtol=1e-3, atol=1e-5)
        epochs.add(best_epoch)
    # Otherwise nothing of the choice of epochs would have been tested.
    assert epochs == {12} if n_shot == 1 else len(epochs) > 1


def test_one_example_per_class_is_trained_on_and_said_so() -> None:
    method = adapted(ProjectionOnFeatures, problem(n_shot=1))
    assert method.notes["validation"] == "none: one example per class"
    assert method.best.abs().amax(dim=(1, 2)).min() > 0
    assert adapted(ProjectionOnFeatures, problem(n_shot=2)).notes["validation"].startswith("max(1, n // 8)")


def test_starts_at_zero_shot_and_learns() -> None:
    given = hard(n_shot=9)
    method = ProjectionOnFeatures(ProjectionOnFeatures.Config(), CosineBackbone(), given.shape)
    torch.testing.assert_close(method.predict(given.query), class_logits(given.query.prior, given.query.classes))
    labels = given.support.labels
    before = cross_entropy(class_logits(given.support.prior, given.support.classes).mT, labels)
    method = adapted(ProjectionOnFeatures, given)
    scores = class_logits(given.support.prior + given.support.keys @ method.best.mT, given.support.classes)
    assert cross_entropy(scores.mT, labels) < 0.7 * before


def test_what_is_held_out_is_not_trained_on() -> None:
    given = problem(n_shot=9)
    method = ProjectionOnFeatures(ProjectionOnFeatures.Config(), CosineBackbone(), given.shape)
    method.loss(given.support)
    training, validation = method._training, method._validation
    assert (training.mask.sum(dim=1) == 32).all()
    assert (validation.mask.sum(dim=1) == 4).all()
    same = (training.keys.unsqueeze(2) == validation.keys.unsqueeze(1)).all(dim=-1)
    assert not same.any()


def test_classes_of_different_sizes_are_all_visited() -> None:
    given = problem(n_shot=9, sizes=[36, 5, 1])
    method = adapted(ProjectionOnFeatures, given, batch_size=3)
    assert method._size * method._per_epoch >= method._training.mask.shape[1]
    with torch.no_grad():
        assert method.predict(given.query).isfinite().all()


def test_counts() -> None:
    method = adapted(ProjectionOnFeatures, problem(), epochs=1)
    assert method.trainable_params() == 3 * 12 * 16
    assert method.state_bytes() == 4 * 3 * 12 * 16
