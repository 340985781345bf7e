"""Forward-Forward: two layers on the keys, each trained by itself to tell right labels from wrong ones."""

from itertools import pairwise
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot, softplus
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bench.contracts import Backbone, Classes, EmbeddingUse, MethodConfig, ProblemShape, Query, Support, Tune
from methods._held_out import Sample
from methods._training import FullSupportMethod

NUMBERS_AT_ONCE = 2**24
"""Activations held at a time when answering (64 MiB)."""
LAYERS = 2


class ForwardForwardConfig(MethodConfig):
    """Hyper-parameters of Forward-Forward."""

    width: int = Field(default=512, ge=1, le=16_384, description="Units of each of the two layers.")
    steps: int = Field(
        default=400, ge=2, le=1_000_000, description="Steps on all examples, half of them for each layer."
    )
    lr: Annotated[float, Tune(1e-5, 1e-1, log=True)] = Field(default=1e-3, gt=0, le=1, description="Adam's rate.")
    threshold: Annotated[float, Tune(0.1, 10.0, log=True)] = Field(
        default=2.0, gt=0, le=1e3, description="Goodness that right labels are to exceed and wrong ones to stay below."
    )


class ForwardForward(FullSupportMethod):
    """The label whose block beside a key makes the activations of two ReLU layers largest.

    The input of the first layer is a key with a one-hot block for a label, as long as the key; the input of the second
    the activations of the first, both divided by their length. A layer's goodness g is the mean square of its
    activations. It descends ``softplus(theta - g)`` for right labels and ``softplus(g - theta)`` for wrong ones, each
    in turn, by Adam; the second layer starts when the first is done, and no gradient passes between them. A
    query has the label with the largest goodness of the second layer: the first sees the label's block as it is.

    Layers start at random weights, the same for all episodes of an instance. There is no prior in the scores.
    """

    episodes_at_once = 16
    Config = ForwardForwardConfig
    config: ForwardForwardConfig
    source = "Hinton 2022, The Forward-Forward Algorithm: Some Preliminary Investigations, arXiv 2212.13345"

    def __init__(self, config: ForwardForwardConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self.steps = config.steps
        widths, generator = (shape.key_dim + shape.n_way, config.width, config.width), shape.generator()
        # Inputs have length 1: with weights of this size goodness starts near 1.
        starts = [2**0.5 * torch.randn(size, generator=generator) for size in pairwise(widths)]
        self.weights = nn.ParameterList([nn.Parameter(start.repeat(shape.n_episodes, 1, 1)) for start in starts])
        self.offsets = nn.ParameterList(
            [nn.Parameter(torch.zeros(shape.n_episodes, 1, config.width)) for _ in range(LAYERS)]
        )

    @classmethod
    def embedding_use(cls, config: MethodConfig) -> EmbeddingUse:
        """Unused: keys and labels alone."""
        return EmbeddingUse.UNUSED

    @classmethod
    def shares_draws(cls, config: MethodConfig) -> bool:
        """True: one start serves all episodes."""
        return True

    def begin(self, support: Support) -> None:
        """Keep the items."""
        self._items = Sample.of(support, self.shape.seed)

    def step_loss(self, step: int, classes: Classes) -> Tensor:
        """The loss of the layer whose turn it is, mean over items and summed over episodes."""
        items, layer = self._items, int(step >= self.steps // 2)
        wrong = (items.labels + 1 + step % max(1, self.shape.n_way - 1)) % self.shape.n_way
        right, false = (self._goodness(items.keys, labels, layer) for labels in (items.labels, wrong))
        each = softplus(self.config.threshold - right) + softplus(false - self.config.threshold)
        return (each.masked_fill(~items.mask, 0).sum(dim=1) / items.mask.sum(dim=1).clamp(min=1)).sum()

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """Adam; a layer without a gradient stays as it is."""
        return Adam(self.parameters(), lr=self.config.lr), None

    def predict(self, query: Query) -> Tensor:
        """Goodness of the second layer with each label, ``[episode, item, way]``."""
        size = max(1, NUMBERS_AT_ONCE // (len(query.keys) * self.config.width))
        scores = [
            torch.stack(
                [self._goodness(part, self._same(part, label), LAYERS - 1) for label in range(query.classes.n_way)]
            )
            for part in torch.split(query.keys, size, dim=1)
        ]
        return torch.cat(scores, dim=2).movedim(0, -1)

    @staticmethod
    def _same(keys: Tensor, label: int) -> Tensor:
        return torch.full(keys.shape[:2], label, dtype=torch.long, device=keys.device)

    def _goodness(self, keys: Tensor, labels: Tensor, layer: int) -> Tensor:
        """``[episode, item]``: mean square of a layer's activations; gradients reach that layer alone."""
        block = one_hot(labels, self.shape.n_way).to(keys) * keys.norm(dim=-1, keepdim=True)
        states = torch.cat([keys, block], dim=-1)
        for number in range(layer + 1):
            inputs = normalize(states.detach(), dim=-1)
            states = torch.baddbmm(self.offsets[number], inputs, self.weights[number]).relu()
        return states.square().mean(dim=-1)


PLUGIN = ForwardForward
