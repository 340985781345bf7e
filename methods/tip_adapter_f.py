"""Tip-Adapter-F: the cache of Tip-Adapter with its keys trained."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from bench.contracts import Backbone, Classes, ProblemShape, Query, Support, Tune
from methods._pairs import SCORES_AT_ONCE
from methods._training import FullSupportMethod, minibatch, summed_cross_entropy
from methods.tip_adapter import TipAdapterConfig, votes


class TipAdapterFConfig(TipAdapterConfig):
    """Hyper-parameters of Tip-Adapter-F; the defaults are published."""

    epochs: int = Field(default=20, ge=1, le=10_000, description="Passes over the support set.")
    lr: Annotated[float, Tune(1e-5, 1e-1, log=True)] = Field(
        default=1e-3, gt=0, le=10, description="AdamW's initial rate; it falls to 0 along a cosine."
    )
    batch_size: int = Field(default=256, ge=1, description="Examples per episode and step.")


class TipAdapterF(FullSupportMethod):
    """Starts as Tip-Adapter and trains the cached keys by cross-entropy of the support set's own labels.

    The weights of the last epoch are used: the published code takes the epoch that is best on the test set. It also
    augments images at each epoch, where features are frozen here. Keys of different episodes share no number and
    AdamW treats each by itself, so that summed losses train each episode as if it were alone.
    """

    Config = TipAdapterFConfig
    config: TipAdapterFConfig
    source = (
        "Zhang et al. 2022, Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification, arXiv 2207.09519"
    )

    def __init__(self, config: TipAdapterFConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._per_epoch = -(-shape.n_support // config.batch_size)
        self.steps = config.epochs * self._per_epoch
        self.keys = nn.Parameter(torch.zeros(shape.n_episodes, shape.n_support, shape.key_dim))
        self.register_buffer("labels", torch.zeros(shape.n_episodes, shape.n_support, dtype=torch.long))
        self.register_buffer("mask", torch.zeros(shape.n_episodes, shape.n_support, dtype=torch.bool))

    labels: Tensor
    mask: Tensor

    def begin(self, support: Support) -> None:
        """Fill the cache."""
        items = self.shuffled(support).part(slice(0, self.shape.n_support))
        self.keys.data.copy_(items.keys)
        self.labels, self.mask = items.labels, items.mask
        self._items = items

    def step_loss(self, step: int, classes: Classes) -> Tensor:
        """Cross-entropy of a minibatch."""
        batch = minibatch(self._items, step % self._per_epoch, self.config.batch_size)
        zero_shot = self.backbone.class_logits(batch.prior, classes)
        return summed_cross_entropy(zero_shot + self._cached(batch.keys), batch.labels, batch.mask)

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """AdamW with the published eps, on a cosine."""
        optimizer = AdamW(self.parameters(), lr=self.config.lr, eps=1e-4)
        return optimizer, CosineAnnealingLR(optimizer, T_max=self.steps)

    def predict(self, query: Query) -> Tensor:
        """Logits ``[episode, item, way]``."""
        zero_shot = self.backbone.class_logits(query.prior, query.classes)
        size = max(1, SCORES_AT_ONCE // max(1, self.mask.numel()))
        return zero_shot + torch.cat([self._cached(part) for part in torch.split(query.keys, size, dim=1)], dim=1)

    def _cached(self, queries: Tensor) -> Tensor:
        indicator = (one_hot(self.labels, self.shape.n_way) * self.mask.unsqueeze(-1)).to(queries.dtype)
        return self.config.alpha * votes(queries, self.keys, indicator, self.config.beta)


PLUGIN = TipAdapterF
