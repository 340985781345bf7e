"""Fast weights by a decaying Hebbian rule, mixed with the prior (Ba et al. 2016)."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from bench.contracts import AssociativeConfig, AssociativeMethod, Backbone, Memory, ProblemShape, Query, Support, Tune
from methods._held_out import Sample
from methods._pairs import without_padding

NEGLIGIBLE = 1e-8
"""A pair that has decayed to this weight is lost in the rounding of the pairs that came after it."""


class HebbianConfig(AssociativeConfig):
    """Hyper-parameters of Hebbian fast weights."""

    decay: Annotated[float, Tune(0.5)] = Field(
        default=0.95,
        gt=0,
        le=1,
        description="What a pair's weight is multiplied by at every later pair; 0.95 remembers about 20 pairs, 1 all.",
    )


class HebbianMemory(Memory):
    """``M <- decay M + v k^T`` at each pair in turn, answering ``M x``; the same as attention without a softmax.

    The published rate eta only scales M. Sums are float64 while observing. Its state does not grow with the pairs,
    and a batch counts as its pairs one after another, padding not counting as a pair.
    """

    def __init__(self, n_episodes: int, key_dim: int, value_dim: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self._sums: Tensor | None = None
        self.register_buffer("weights", torch.zeros(n_episodes, value_dim, key_dim))

    weights: Tensor
    """``[episode, dim_v, dim_k]``."""

    def observe(self, keys: Tensor, values: Tensor, mask: Tensor) -> None:
        """Decay what is there by the number of pairs that come, and add them, the last one undecayed."""
        share, left = self.weigh(mask)
        keys, values = without_padding(keys, mask).double(), without_padding(values, mask).double()
        new = (share.unsqueeze(-1) * values).mT @ keys
        self._sums = new if self._sums is None else self._sums * left.unsqueeze(-1) + new

    def weigh(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What a batch leaves of each of its pairs, ``[episode, item]``, and of all before them, ``[episode, 1]``."""
        counted = mask.long().cumsum(dim=1)
        total = counted[:, -1:]
        return self.decay ** (total - counted).double(), self.decay ** total.double()

    def solve(self) -> None:
        """Round to float32."""
        if self._sums is not None:
            self.weights = self._sums.float()
            self._sums = None

    def read(self, keys: Tensor) -> Tensor:
        """``M x``, at a cost independent of the number of pairs."""
        return keys @ self.weights.mT


class Hebbian(AssociativeMethod):
    """Hebbian memory; its answer is scaled to the length of the query's prior and mixed with it by ``N / (N0 + N)``.

    A support set comes sorted by class, and a memory that decays would know the last classes alone. So pairs arrive
    in an order shuffled by the problem's seed, whatever order they are given in. Of the shuffled pairs only the last
    that still weigh something are kept until solve: 360 for a decay of 0.95, none for a decay of 1.
    """

    Config = HebbianConfig
    config: HebbianConfig
    source = "Ba et al. 2016, Using Fast Weights to Attend to the Recent Past, arXiv 1610.06258"

    def __init__(self, config: HebbianConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._recent: Sample | None = None
        self._values: Tensor | None = None

    def make_memory(self) -> HebbianMemory:
        """Empty fast weights for the problem's shapes."""
        shape = self.shape
        return HebbianMemory(shape.n_episodes, shape.key_dim, shape.value_dim, self.config.decay)

    def observe(self, support: Support) -> None:
        """Pass the batch on if its order does not matter; else keep what will come last."""
        if self.config.decay == 1:
            super().observe(support)
            return
        batch = Sample.of(support, self.shape.seed)
        recent = batch if self._recent is None else Sample.joined([self._recent, batch])
        last = math.ceil(math.log(NEGLIGIBLE) / math.log(self.config.decay))
        self._recent = recent.shuffled().part(slice(0, last))
        self._values = support.classes.class_embeddings
        self.count += support.mask.sum(dim=1)

    def solve(self) -> None:
        """Let the kept pairs arrive, those with the lowest draws last."""
        if self._recent is not None and self._values is not None:
            index = self._recent.labels.unsqueeze(-1).expand(-1, -1, self._values.shape[-1])
            values = self._values.gather(1, index)
            self.memory.observe(self._recent.keys.flip(1), values.flip(1), self._recent.mask.flip(1))
            self._recent = self._values = None
        super().solve()

    def recall(self, query: Query) -> Tensor:
        """``M x`` at the length of the prior; 0 where nothing was observed."""
        length: Tensor = torch.linalg.vector_norm(query.prior, dim=-1, keepdim=True)
        return normalize(super().recall(query), dim=-1) * length


PLUGIN = Hebbian
