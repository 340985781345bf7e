"""Multinomial logistic regression on the frozen keys, trained by gradient descent."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from bench.contracts import Backbone, GradientMethod, MethodConfig, Query, Setting, Support


class LinearProbeConfig(MethodConfig):
    """Hyper-parameters of the linear probe."""

    steps: int = Field(default=100, ge=1, le=1_000_000, description="Optimizer steps.")
    lr: float = Field(
        default=0.1, gt=0, le=10, description="Adam's initial learning rate; it falls to 0 along a cosine."
    )
    weight_decay: float = Field(
        default=1e-4,
        ge=0,
        le=100,
        description="L2 penalty: half of this times the squared norm of an episode's weights.",
    )
    batch_size: int | None = Field(
        default=None, ge=1, description="Examples per episode and step; none for all of them."
    )


class LinearProbe(GradientMethod):
    """One softmax regression per episode, all trained together.

    An episode's objective is the mean cross-entropy of its items plus ``weight_decay / 2 * |W|^2``, the
    bias being free. It is scikit-learn's ``LogisticRegression(C=1 / (weight_decay * N))`` for N items,
    divided by ``C * N``, and has the same minimum. The penalty stands in the loss, not in the optimizer,
    because Adam would rescale it. Episodes share no parameter and Adam treats each number by itself,
    so that summed losses train each episode as if it were alone; clipping by the global norm would not.
    """

    Config = LinearProbeConfig
    config: LinearProbeConfig
    source = (
        "Radford et al. 2021, arXiv 2103.00020 (linear probe of frozen features); Kingma and Ba 2015, arXiv 1412.6980"
    )

    def __init__(self, config: LinearProbeConfig, backbone: Backbone, setting: Setting) -> None:
        super().__init__(config, backbone, setting)
        self.steps = config.steps
        self.batch_size = config.batch_size
        # The objective is convex, so there is nothing that a random start could break the symmetry of.
        self.weight = nn.Parameter(torch.zeros(setting.n_episodes, setting.key_dim, setting.n_way))
        self.bias = nn.Parameter(torch.zeros(setting.n_episodes, 1, setting.n_way))

    def loss(self, support: Support) -> Tensor:
        """Penalised mean cross-entropy over each episode's items, summed over episodes."""
        each = cross_entropy(self._logits(support.keys).mT, support.labels, reduction="none")
        count = support.mask.sum(dim=1).clamp(min=1)
        data = each.masked_fill(~support.mask, 0).sum(dim=1) / count
        return data.sum() + self.config.weight_decay / 2 * self.weight.square().sum()

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """Adam on a cosine, which needs no step size of its own for each number of classes and spread of keys."""
        # With balanced classes the bias has a gradient of 0 but for rounding. Adam's usual eps of 1e-8 would
        # scale that up to full steps, and scores would depend on the order of the examples by some percent.
        optimizer = Adam(self.parameters(), lr=self.config.lr, eps=1e-4)
        return optimizer, CosineAnnealingLR(optimizer, T_max=self.config.steps)

    def predict(self, query: Query) -> Tensor:
        """Logits ``[episode, item, way]``."""
        return self._logits(query.keys)

    def _logits(self, keys: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, keys, self.weight)


PLUGIN = LinearProbe
