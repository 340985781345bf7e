"""A linear probe that is trained by forward passes alone: two losses a step in place of a gradient."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bench.contracts import Backbone, Classes, EmbeddingUse, MethodConfig, ProblemShape, Query, Support, Tune
from methods._training import FullSupportMethod

CURVATURE = 1.0
"""Bound on the curvature of the cross-entropy in weights and bias, for keys of length 1 (Bohning 1992)."""


class SpsaProbeConfig(MethodConfig):
    """Hyper-parameters of the probe."""

    steps: int = Field(default=1000, ge=1, le=10_000_000, description="Steps, each of two losses of all examples.")
    lr: Annotated[float, Tune(1e-2, 10.0, log=True)] = Field(
        default=1.0,
        gt=0,
        le=1e3,
        description="Step size as a share of 1 / (n + 2) for n numbers, with which the loss falls on average.",
    )
    epsilon: Annotated[float, Tune(1e-4, 1.0, log=True)] = Field(
        default=1e-2, gt=0, le=10, description="Length of the two trials along a random direction."
    )


class SpsaProbe(FullSupportMethod):
    """Softmax regression by steps ``W -= lr g z`` with ``g = (L(W + eps z) - L(W - eps z)) / (2 eps)``.

    z is a random direction from N(0, I), drawn anew at each step, so that ``g z`` is the gradient on average, with a
    variance that grows with the number n of weights: what search without backward passes takes, beside the closed form
    that FAAST has for the same map. MeZO (arXiv 2305.17333) is this step on the weights of a language model. One
    direction serves all episodes of an instance; nothing is searched, and there is no prior in the scores.
    """

    Config = SpsaProbeConfig
    config: SpsaProbeConfig
    source = (
        "Spall 1992, Multivariate Stochastic Approximation Using a Simultaneous Perturbation Gradient Approximation, "
        "IEEE Transactions on Automatic Control 37; Malladi et al. 2023, MeZO, arXiv 2305.17333"
    )

    def __init__(self, config: SpsaProbeConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self.steps = config.steps
        self.weight = nn.Parameter(torch.zeros(shape.n_episodes, shape.key_dim, shape.n_way))
        self.bias = nn.Parameter(torch.zeros(shape.n_episodes, 1, shape.n_way))
        self._generator = shape.generator()

    @classmethod
    def embedding_use(cls, config: MethodConfig) -> EmbeddingUse:
        """Unused: keys and labels alone."""
        return EmbeddingUse.UNUSED

    @classmethod
    def shares_draws(cls, config: MethodConfig) -> bool:
        """True: one direction serves all episodes."""
        return True

    def begin(self, support: Support) -> None:
        """Keep the items."""
        items = self.shuffled(support)
        self._keys, self._labels, self._mask = items.keys, items.labels, items.mask
        self._count = items.mask.sum(dim=1).clamp(min=1)

    def step_loss(self, step: int, classes: Classes) -> Tensor:
        """The mean of both losses, with ``g z`` for its gradient, summed over episodes."""
        weight, bias = self._direction(self.weight), self._direction(self.bias)
        with torch.no_grad():
            logits, change = self._logits(self.weight, self.bias), self._logits(weight, bias)
            above, below = (self._losses(logits + sign * self.config.epsilon * change) for sign in (1, -1))
            slope = ((above - below) / (2 * self.config.epsilon)).view(-1, 1, 1)
        along = (slope * (self.weight * weight)).sum() + (slope * (self.bias * bias)).sum()
        return along + ((above + below).sum() / 2 - along).detach()

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """Plain descent; the length of ``g z`` squared is n + 2 times that of the gradient on average."""
        numbers = self.weight[0].numel() + self.bias[0].numel()
        return SGD([self.weight, self.bias], lr=self.config.lr / (CURVATURE * (numbers + 2))), None

    def predict(self, query: Query) -> Tensor:
        """Logits ``[episode, item, way]``."""
        return torch.baddbmm(self.bias, query.keys, self.weight)

    def _direction(self, parameter: Tensor) -> Tensor:
        """``[1, ...]`` random numbers for a parameter; on the CPU, so that every device draws the same."""
        return torch.randn(1, *parameter.shape[1:], generator=self._generator).to(parameter)

    def _logits(self, weight: Tensor, bias: Tensor) -> Tensor:
        return self._keys @ weight + bias

    def _losses(self, logits: Tensor) -> Tensor:
        """``[episode]``, mean cross-entropy of the items."""
        each = cross_entropy(logits.mT, self._labels, reduction="none").masked_fill(~self._mask, 0)
        return each.sum(dim=1) / self._count


PLUGIN = SpsaProbe
