"""What methods trained on features share: a shuffled copy of the support set, and losses that keep episodes apart."""

from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.contracts import Classes, GradientMethod, Support
from methods._held_out import Sample


def summed_cross_entropy(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Mean cross-entropy over the items of each episode, summed over episodes; 0 for one without items.

    logits: ``[episode, item, way]``; labels, mask: ``[episode, item]``.

    Returns:
        A scalar.
    """
    each = cross_entropy(logits.mT, labels, reduction="none").masked_fill(~mask, 0)
    return (each.sum(dim=1) / mask.sum(dim=1).clamp(min=1)).sum()


class FullSupportMethod(GradientMethod):
    """Is given the whole support set at each step, looks at it once, and works on what it kept.

    So it can start from the examples and hold some of them out.
    """

    batch_size: int | None = None
    _step = 0

    def loss(self, support: Support) -> Tensor:
        """The loss of this step, summed over episodes."""
        if self._step == 0:
            with torch.no_grad():
                self.begin(support)
        self._step += 1
        return self.step_loss(self._step - 1, support.classes)

    @abstractmethod
    def begin(self, support: Support) -> None:
        """Look at all items, without gradients."""

    def shuffled(self, support: Support) -> Sample:
        """The items in an order of their own, padding last, so that minibatches do not depend on how they came."""
        return Sample.of(support, self.shape.seed).shuffled()

    @abstractmethod
    def step_loss(self, step: int, classes: Classes) -> Tensor:
        """The loss of a step, counted from 0."""


def minibatch(items: Sample, place: int, size: int) -> Sample:
    """The minibatch at a place in an epoch: ``size`` items of each episode, fewer at the end of it."""
    return items.part(slice(place * size, (place + 1) * size))
