"""APE-T: trained residuals of classes and weights of examples, beside zero-shot logits and the cache."""

from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from bench.contracts import Backbone, Classes, EmbeddingUse, MethodConfig, ProblemShape, Query, Support, Tune
from methods._ape import (
    ClassSource,
    RefinedCacheConfig,
    best_channels,
    chosen_settings,
    given,
    is_searched,
    searched,
)
from methods._cosines import SCALE
from methods._folds import Folds, fold_count
from methods._held_out import Sample
from methods._moments import class_indicator
from methods._pairs import SCORES_AT_ONCE
from methods._training import FullSupportMethod, minibatch, summed_cross_entropy

FIELDS = ("beta", "alpha")
"""What is searched, that which is cheapest to change last."""


class ApeTConfig(RefinedCacheConfig):
    """Hyper-parameters of APE-T; those of its training are published."""

    epochs: int = Field(default=20, ge=1, le=10_000, description="Passes over the support set.")
    lr: Annotated[float, Tune(1e-5, 1e-1, log=True)] = Field(
        default=1e-3, gt=0, le=10, description="AdamW's initial rate; it falls to 0 along a cosine."
    )
    batch_size: int = Field(default=256, ge=1, description="Examples per episode and step.")


class ApeT(FullSupportMethod):
    """``class_logits(prior) + 100 f R^T + alpha exp(-beta (1 - f (F + L R)^T)) (L w)``, with trained R and w.

    R ``[way, dim_k]`` moves the class embeddings and the cached keys of each class F alike, and is 0 outside of the
    channels that APE chooses; w are weights of the examples with labels L. R starts at 0, w at 1. Both are trained by
    cross-entropy with the starting values of alpha and beta, or those given, and both are searched afterwards on
    held-out items of the support set, where the published code has a validation set. For this, further copies are
    trained beside the first, each without one of five parts of every class (as many parts as there are shots, if
    fewer), so that each item is scored by the copy without it. Without a prior the cache decides alone.

    The weights of the last epoch are used: the published code takes the best epoch on the validation set. It also
    augments images at each epoch, where features are frozen here; and items are shuffled once, by the seed.
    """

    episodes_at_once = 16
    Config = ApeTConfig
    config: ApeTConfig
    source = "Zhu et al. 2023, Not All Features Matter (APE), arXiv 2304.01195"

    def __init__(self, config: ApeTConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._per_epoch = -(-shape.n_support // config.batch_size)
        self.steps = config.epochs * self._per_epoch
        self._n_folds = fold_count(shape) if any(is_searched(config, field) for field in FIELDS) else 0
        n_episodes, n_items, n_way = shape.n_episodes, shape.n_support, shape.n_way
        n_channels, n_copies = max(1, round(config.channels * shape.key_dim)), (1 + self._n_folds) * n_episodes
        self.trained_residual = nn.Parameter(torch.zeros(n_copies, n_way, n_channels))
        self.trained_weights = nn.Parameter(torch.ones(n_copies, n_items))
        self.register_buffer("residual", torch.zeros(n_episodes, n_way, n_channels))
        self.register_buffer("weights", torch.zeros(n_episodes, n_items))
        self.register_buffer("channels", torch.arange(n_channels).expand(n_episodes, -1).contiguous())
        self.register_buffer("keys", torch.zeros(n_episodes, n_items, shape.key_dim))
        self.register_buffer("labels", torch.zeros(n_episodes, n_items, dtype=torch.long))
        for name, value in given(config, FIELDS).items():
            self.register_buffer(name, torch.full((n_episodes, 1, 1), value))

    residual: Tensor
    """``[episode, way, channel]``."""
    weights: Tensor
    """``[episode, item]``, 0 for padding."""
    channels: Tensor
    keys: Tensor
    labels: Tensor
    alpha: Tensor
    beta: Tensor

    @classmethod
    def embedding_use(cls, config: MethodConfig) -> EmbeddingUse:
        """Optional: class means choose channels without class embeddings; unused without a prior."""
        return EmbeddingUse.UNUSED if getattr(config, "prior", None) == "none" else EmbeddingUse.OPTIONAL

    def state_bytes(self) -> int:
        """Bytes of the cache; copies that were trained to search with are not needed to answer."""
        return sum(tensor.nbytes for tensor in self.buffers())

    def trainable_params(self) -> int:
        """Entries of residuals and weights."""
        return self.residual.numel() + self.weights.numel()

    def begin(self, support: Support) -> None:
        """Choose channels and fill the caches."""
        items = self.shuffled(support).part(slice(0, self.shape.n_support))
        source = ClassSource(self.shape, self.config.prior)
        source.observe(items, support.classes)
        self.channels = best_channels(source.vectors(), self.channels.shape[1], self.config.similarity)
        self.keys, self.labels, self._items = items.keys, items.labels, items
        self._folds = Folds(items, self.shape.n_way, self._n_folds)
        copied = Sample(*(self._folds.copies(tensor) for tensor in items.tensors()))
        self._training = replace(copied, mask=self._folds.training)
        self._zero_shot = self._folds.copies(self.backbone.class_logits(items.prior, support.classes))

    def step_loss(self, step: int, classes: Classes) -> Tensor:
        """Cross-entropy of a minibatch."""
        place, size = step % self._per_epoch, self.config.batch_size
        batch = minibatch(self._training, place, size)
        zero_shot = self._zero_shot[:, place * size : (place + 1) * size]
        weights = self.trained_weights * self._training.mask
        text, votes = self._parts(batch.keys, zero_shot, self._training, self.trained_residual, weights, self.beta)
        return summed_cross_entropy(text + self._folds.copies(self.alpha) * votes, batch.labels, batch.mask)

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """AdamW with the published eps and decay, on a cosine."""
        trained = [self.trained_residual, self.trained_weights]
        optimizer = AdamW(trained, lr=self.config.lr, eps=1e-3, weight_decay=0.1)
        return optimizer, CosineAnnealingLR(optimizer, T_max=self.steps)

    def finish(self) -> None:
        """Search what is not given, and keep the copy of all items."""
        n_episodes, items = self.shape.n_episodes, self._items
        self.residual = self.trained_residual.data[:n_episodes].clone()
        self.weights = self.trained_weights.data[:n_episodes] * items.mask
        if not self._n_folds:
            return
        zero_shot = self._zero_shot[:n_episodes]
        residuals = torch.split(self.trained_residual.data, n_episodes)[1:]
        weights = torch.split(self.trained_weights.data * self._training.mask, n_episodes)[1:]
        latest: dict[float, list[tuple[Tensor, Tensor]]] = {}

        def scores(values: dict[str, float]) -> Tensor:
            beta = values["beta"]
            if beta not in latest:
                latest.clear()
                each = torch.full_like(self.beta, beta)
                latest[beta] = [
                    self._parts(items.keys, zero_shot, items, residual, weight, each)
                    for residual, weight in zip(residuals, weights, strict=True)
                ]
            return self._folds.out_of_fold([text + values["alpha"] * votes for text, votes in latest[beta]])

        found = searched(self.config, FIELDS, scores, items.labels, self._folds.counts)
        beta, alpha = found.unbind(dim=1)
        self.beta, self.alpha = beta.view(-1, 1, 1), alpha.view(-1, 1, 1)
        self.notes |= chosen_settings(self.config, {"alpha": alpha, "beta": beta})

    def predict(self, query: Query) -> Tensor:
        """Logits ``[episode, item, way]``."""
        zero_shot = self.backbone.class_logits(query.prior, query.classes)
        size = max(1, SCORES_AT_ONCE // max(1, self.labels.numel()))
        logits = []
        for keys, prior in zip(torch.split(query.keys, size, dim=1), torch.split(zero_shot, size, dim=1), strict=True):
            text, votes = self._parts(keys, prior, self, self.residual, self.weights, self.beta)
            logits.append(text + self.alpha * votes)
        return torch.cat(logits, dim=1)

    def _parts(
        self, keys: Tensor, zero_shot: Tensor, cache: "Sample | ApeT", residual: Tensor, weights: Tensor, beta: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Scores by class vectors, 0 without a prior, and votes of the cache, ``[copy, item, way]`` each."""
        copies = len(keys) // len(beta)
        channels = self.channels.repeat(copies, 1).unsqueeze(1).expand(-1, keys.shape[1], -1)
        moved = keys.gather(2, channels) @ residual.mT
        affinity = keys @ cache.keys.mT + moved.gather(2, cache.labels.unsqueeze(1).expand(-1, keys.shape[1], -1))
        indicator = class_indicator(cache.labels, torch.ones_like(cache.labels, dtype=torch.bool), self.shape.n_way)
        votes = (beta.repeat(copies, 1, 1) * (affinity - 1)).exp() @ (indicator.to(weights) * weights.unsqueeze(-1))
        return (torch.zeros_like(moved) if self.config.prior == "none" else zero_shot + SCALE * moved), votes


PLUGIN = ApeT
