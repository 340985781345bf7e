"""Tip-Adapter-F: the cache of Tip-Adapter with its keys trained."""

from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from bench.contracts import Backbone, Classes, EmbeddingUse, MethodConfig, ProblemShape, Query, Support, Tune
from methods._folds import Folds, fold_count
from methods._held_out import Sample
from methods._minibatches import StreamedMethod
from methods._moments import class_indicator
from methods._pairs import SCORES_AT_ONCE
from methods._training import minibatch, summed_cross_entropy
from methods.tip_adapter import TipAdapterConfig, chosen_settings, searched, start, use_of_embeddings, votes

MOST_KEYS = 2**14
"""Keys of the cache of an episode, where examples are very many: 16 of each of ImageNet's classes, as published."""
HELD_OUT = 8
"""Inverse of the share of the examples by which alpha and beta are then searched."""


class TipAdapterFConfig(TipAdapterConfig):
    """Hyper-parameters of Tip-Adapter-F; those of its training are published."""

    epochs: int = Field(default=20, ge=1, le=10_000, description="Passes over the support set.")
    lr: Annotated[float, Tune(1e-5, 1e-1, log=True)] = Field(
        default=1e-3, gt=0, le=10, description="AdamW's initial rate; it falls to 0 along a cosine."
    )
    batch_size: int = Field(default=256, ge=1, description="Examples per episode and step.")


class TipAdapterF(StreamedMethod):
    """Starts as Tip-Adapter and trains the cached keys by cross-entropy of the support set's own labels.

    As published, keys are trained with the starting values of alpha and beta, or those given, and both are searched
    afterwards; on held-out items of the support set, where the published code has a validation set. For this, further
    caches are trained beside the first, each without one of five parts of every class (as many parts as there are
    shots, if fewer): each item is scored by the cache without it, see ``methods.tip_adapter.searched``.

    The weights of the last epoch are used: the published code takes the epoch that is best on the test set. It also
    augments images at each epoch, where features are frozen here; and items are shuffled once, by the seed. Keys of
    different episodes and caches share no number and AdamW treats each by itself, so that summed losses train each as
    if it were alone.

    From 100,000 examples on, the cache has the keys of the first 16,384 of them in shuffled order, and all stream by in
    epochs that are shuffled anew. One in eight is held out by a number drawn for it; alpha and beta are searched on
    4,096 of these at most, or 32 of each class, and no further caches are trained.
    """

    episodes_at_once = 16
    Config = TipAdapterFConfig
    config: TipAdapterFConfig
    source = (
        "Zhang et al. 2022, Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification, arXiv 2207.09519"
    )

    def __init__(self, config: TipAdapterFConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._per_epoch = -(-shape.n_support // config.batch_size)
        self.steps = config.epochs * self._per_epoch
        self._n_folds = fold_count(shape) if "auto" in {config.alpha, config.beta} else 0
        n_keys = shape.n_support
        if self.streams:
            self.batch_size, self._n_folds, n_keys = config.batch_size, 0, min(n_keys, MOST_KEYS)
            self._per_epoch = max(1, shape.n_support // config.batch_size)
            self.steps = config.epochs * self._per_epoch
        size = (n_keys, shape.key_dim)
        self.trained = nn.Parameter(torch.zeros((1 + self._n_folds) * shape.n_episodes, *size))
        self.register_buffer("keys", torch.zeros(shape.n_episodes, *size))
        self.register_buffer("labels", torch.zeros(shape.n_episodes, n_keys, dtype=torch.long))
        self.register_buffer("mask", torch.zeros(shape.n_episodes, n_keys, dtype=torch.bool))
        alpha, beta = start(config)
        self.register_buffer("alpha", torch.full((shape.n_episodes, 1, 1), alpha))
        self.register_buffer("beta", torch.full((shape.n_episodes, 1, 1), beta))

    trained: Tensor
    """``[cache, item, dim_k]``, keys in training: the first cache of each episode, then the second, and so on."""
    keys: Tensor
    labels: Tensor
    mask: Tensor
    alpha: Tensor
    beta: Tensor

    @classmethod
    def embedding_use(cls, config: MethodConfig) -> EmbeddingUse:
        """See ``methods.tip_adapter.use_of_embeddings``."""
        return use_of_embeddings(config)

    def state_bytes(self) -> int:
        """Bytes of the cache; the caches that were trained to search with are not needed to answer."""
        return sum(tensor.nbytes for tensor in self.buffers())

    def trainable_params(self) -> int:
        """Entries of the cached keys."""
        return self.keys.numel()

    def begin(self, support: Support) -> None:
        """Fill the caches."""
        items = self.shuffled(support).part(slice(0, self.shape.n_support))
        self._folds = Folds(items, self.shape.n_way, self._n_folds)
        self.trained.data.copy_(self._folds.copies(items.keys))
        self.labels, self.mask = items.labels, items.mask
        self._classes, self._items = support.classes, items
        copied = Sample(*(self._folds.copies(tensor) for tensor in items.tensors()))
        self._training = replace(copied, mask=self._folds.training)
        zero_shot = self.backbone.class_logits(items.prior, support.classes)
        self._zero_shot = self._folds.copies(zero_shot)
        self._pairs = class_indicator(copied.labels, self._folds.training, self.shape.n_way).to(items.keys.dtype)

    def begin_stream(self, items: Sample, classes: Classes) -> None:
        """Start with an empty cache."""
        self._classes, self._filled = classes, 0
        self._pairs = items.keys.new_zeros(*self.mask.shape, self.shape.n_way)

    def streamed_loss(self, step: int, items: Sample, classes: Classes) -> Tensor:
        """Cross-entropy of a minibatch without the examples that are held out; the first ones fill the cache."""
        with torch.no_grad():
            batch = self.without_held_out(items, HELD_OUT, keep=step < self._per_epoch)
            if self._filled < self.mask.shape[1]:
                self._fill(batch.where(batch.mask).part(slice(0, self.mask.shape[1] - self._filled)))
        alpha, beta = start(self.config)
        cached = alpha * votes(batch.keys @ self.trained.mT, self._pairs, beta)
        zero_shot = self.backbone.class_logits(batch.prior, classes)
        return summed_cross_entropy(cached + self._share * zero_shot, batch.labels, batch.mask)

    def _fill(self, items: Sample) -> None:
        """Put examples in the next places of the cache."""
        places = slice(self._filled, self._filled + items.mask.shape[1])
        self.trained.data[:, places] = items.keys
        self.labels[:, places], self.mask[:, places] = items.labels, items.mask
        self._pairs[:, places] = class_indicator(items.labels, items.mask, self.shape.n_way).to(items.keys.dtype)
        self._filled = places.stop

    def step_loss(self, step: int, classes: Classes) -> Tensor:
        """Cross-entropy of a minibatch."""
        place, size = step % self._per_epoch, self.config.batch_size
        batch = minibatch(self._training, place, size)
        alpha, beta = start(self.config)
        cached = alpha * votes(batch.keys @ self.trained.mT, self._pairs, beta)
        logits = cached + self._share * self._zero_shot[:, place * size : (place + 1) * size]
        return summed_cross_entropy(logits, batch.labels, batch.mask)

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """AdamW with the published eps, on a cosine."""
        optimizer = AdamW([self.trained], lr=self.config.lr, eps=1e-4)
        return optimizer, CosineAnnealingLR(optimizer, T_max=self.steps)

    def finish(self) -> None:
        """Search what is not given, and keep the cache of all items."""
        n_episodes = self.shape.n_episodes
        self.keys = self.trained.data[:n_episodes].clone()
        if self.streams:
            self._search_held_out()
        if not self._n_folds:
            return
        items = self._items
        caches = list(
            zip(torch.split(self.trained.data, n_episodes), torch.split(self._pairs, n_episodes), strict=True)
        )[1:]

        def cached(beta: float) -> Tensor:
            return self._folds.out_of_fold([votes(items.keys @ each.mT, own, beta) for each, own in caches])

        zero_shot = self._zero_shot[:n_episodes]
        self.alpha, self.beta = searched(self.config, zero_shot, cached, items, self._folds.counts)
        self.notes |= chosen_settings(self.config, self.alpha, self.beta)

    def _search_held_out(self) -> None:
        """Search what is not given by examples that were held out of the stream."""
        sample = self.held.lowest()
        zero_shot = self.backbone.class_logits(sample.prior, self._classes)
        self.alpha, self.beta = searched(
            self.config, zero_shot, lambda beta: self._votes(sample.keys, beta), sample, sample.mask
        )
        self.notes |= chosen_settings(self.config, self.alpha, self.beta)

    def _votes(self, keys: Tensor, beta: Tensor | float) -> Tensor:
        """Votes ``[episode, item, way]`` for as many keys at a time as memory allows."""
        pairs = class_indicator(self.labels, self.mask, self.shape.n_way).to(keys.dtype)
        size = max(1, SCORES_AT_ONCE // max(1, self.mask.numel()))
        parts = torch.split(keys, size, dim=1)
        return torch.cat([votes(part @ self.keys.mT, pairs, beta) for part in parts], dim=1)

    def predict(self, query: Query) -> Tensor:
        """Logits ``[episode, item, way]``."""
        cached = self._votes(query.keys, self.beta)
        zero_shot = self.backbone.class_logits(query.prior, query.classes)
        return self._share * zero_shot + self.alpha * cached

    @property
    def _share(self) -> float:
        """0 for a cache alone, 1 for one beside the zero-shot logits."""
        return 0.0 if self.config.prior == "none" else 1.0


PLUGIN = TipAdapterF
