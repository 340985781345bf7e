"""Attention over all stored pairs: softmax(scale * x K^T) V, mixed with the prior."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from bench.contracts import AssociativeConfig, AssociativeMethod, Support, Tune
from methods._pairs import StoredPairs
from methods._reservoir import COUNTER, Reservoir


class SoftmaxConfig(AssociativeConfig):
    """Hyper-parameters of softmax memory."""

    scale: Annotated[float, Tune(1.0, 1e3, log=True)] = Field(
        default=100.0,
        gt=0,
        le=1e4,
        description="What similarities are multiplied by; the published value is CLIP's 100.",
    )


class SoftmaxPairs(StoredPairs):
    """Answers with the mean of the stored values, weighted by ``softmax(scale * x K^T)``; 0 if nothing is stored."""

    def __init__(
        self, n_episodes: int, key_dim: int, value_dim: int, scale: float, reservoir: Reservoir | None = None
    ) -> None:
        super().__init__(n_episodes, key_dim, value_dim, reservoir)
        self.scale = scale

    def answer(self, keys: Tensor) -> Tensor:
        """``[episode, item, dim_v]``, the weighted mean."""
        scores = self.scale * (keys @ self.keys.mT)
        # The lowest finite number, not -inf: an episode of padding alone then averages values of 0, not NaN.
        scores = scores.masked_fill(~self.mask.unsqueeze(1), torch.finfo(scores.dtype).min)
        return scores.softmax(dim=-1) @ self.values


class SoftmaxMemory(AssociativeMethod):
    """The memory that FAAST's baseline reads at every query, at a cost that grows with the support set."""

    linear_in_values = True
    Config = SoftmaxConfig
    config: SoftmaxConfig
    memory: SoftmaxPairs
    source = (
        "Vaswani et al. 2017, Attention Is All You Need, arXiv 1706.03762, as in FAAST, arXiv 2605.04651 (baseline)"
    )

    def make_memory(self) -> SoftmaxPairs:
        """An empty store that attends with the configured scale."""
        shape = self.shape
        return SoftmaxPairs(
            shape.n_episodes, shape.key_dim, self.memory_dim, self.config.scale, Reservoir.of(shape, COUNTER)
        )

    def observe(self, support: Support) -> None:
        """Keep keys and values, in balance where they are bounded, and count items."""
        self.memory.observe(support.keys, self.stored_values(support), support.mask, support.labels)
        self.count += support.mask.sum(dim=1)


PLUGIN = SoftmaxMemory
