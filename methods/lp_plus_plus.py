"""LP++: a linear probe started at the class means, blended with the zero-shot logits by one trained weight a class."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bench.contracts import Backbone, Classes, Kind, MethodConfig, ProblemShape, Query, Support
from methods._moments import class_indicator
from methods._training import FullSupportMethod, summed_cross_entropy

SCALE = 100.0
"""Zero-shot logits over this stand for the cosines ``f t_c`` of the paper, which is what they are with CLIP."""
BLEND_START = 250.0
BLEND_EVERY = 10


class LpPlusPlusConfig(MethodConfig):
    """Hyper-parameters of LP++, which takes its rates from the data."""

    steps: int = Field(default=300, ge=1, le=100_000, description="Iterations on the whole support set.")


class LpPlusPlus(FullSupportMethod):
    """``logits_c = f w_c + a_c z_c`` with zero-shot cosines ``z = class_logits(prior) / 100``.

    Prototypes w start at the class means, all a at 250 times the mean cosine of an example and its own class.
    Both descend the mean cross-entropy in turn with steps from its Lipschitz constants, as published:
    w at each iteration by ``4 N / |F|^2`` (spectral norm) with momentum 0.9, a at every tenth by
    ``N / (4 max_c sum_i z_ic^2)``. The iterate of the last step is used, where the published code takes the best on
    a validation set. Steps are per episode, and no episode sees another.
    """

    kinds = frozenset({Kind.IMAGE_CLASSIFICATION})
    Config = LpPlusPlusConfig
    config: LpPlusPlusConfig
    source = "Huang et al. 2024, LP++: A Surprisingly Strong Linear Probe for Few-Shot CLIP, arXiv 2404.02285"

    def __init__(self, config: LpPlusPlusConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self.steps = config.steps
        self.prototypes = nn.Parameter(torch.zeros(shape.n_episodes, shape.n_way, shape.key_dim))
        self.blend = nn.Parameter(torch.zeros(shape.n_episodes, 1, shape.n_way))

    def begin(self, support: Support) -> None:
        """Start from the class means and find the step sizes."""
        items = self.shuffled(support)
        keys, mask, classes = items.keys, items.mask, support.classes
        cosines = self.backbone.class_logits(items.prior, classes) / SCALE * mask.unsqueeze(-1)
        indicator = class_indicator(items.labels, mask, self.shape.n_way).to(keys.dtype)
        size = indicator.sum(dim=1).clamp(min=1)
        count = mask.sum(dim=1).clamp(min=1).view(-1, 1, 1)
        self.prototypes.data.copy_(indicator.mT @ keys / size.unsqueeze(-1))
        own = (indicator * cosines).sum(dim=1) / size
        self.blend.data.copy_((BLEND_START * own.mean(dim=-1)).view(-1, 1, 1).expand_as(self.blend))
        self._steps = (
            4 * count / _squared_norm(keys).clamp(min=1e-12),
            count / (4 * cosines.square().sum(dim=1, keepdim=True).amax(dim=-1, keepdim=True).clamp(min=1e-12)),
        )
        self._items, self._cosines = items, cosines

    def step_loss(self, step: int, classes: Classes) -> Tensor:
        """Mean cross-entropy of all items; its gradients come multiplied by each episode's step sizes."""
        prototypes = _stepping(self.prototypes, self._steps[0])
        blend = _stepping(self.blend, self._steps[1]) if (step + 1) % BLEND_EVERY == 0 else self.blend.detach()
        logits = self._items.keys @ prototypes.mT + blend * self._cosines
        return summed_cross_entropy(logits, self._items.labels, self._items.mask)

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """Gradient descent at rate 1, the step sizes being in the gradients already."""
        groups: list[dict[str, Any]] = [{"params": [self.prototypes], "momentum": 0.9}, {"params": [self.blend]}]
        return SGD(groups, lr=1.0), None

    def predict(self, query: Query) -> Tensor:
        """Logits ``[episode, item, way]``."""
        cosines = self.backbone.class_logits(query.prior, query.classes) / SCALE
        return query.keys @ self.prototypes.mT + self.blend * cosines


def _stepping(parameter: Tensor, step: Tensor) -> Tensor:
    """The parameter, with a gradient that is multiplied by ``step``: so each episode has a step size of its own."""
    fixed = parameter.detach()
    return fixed + step * (parameter - fixed)


def _squared_norm(keys: Tensor) -> Tensor:
    """Squared spectral norm ``[E, 1, 1]`` of ``keys [E, N, d]``, from the smaller Gram matrix."""
    gram = keys @ keys.mT if keys.shape[1] < keys.shape[2] else keys.mT @ keys
    largest: Tensor = torch.linalg.eigvalsh(gram.double())[:, -1].to(keys.dtype)
    return largest.view(-1, 1, 1)


PLUGIN = LpPlusPlus
