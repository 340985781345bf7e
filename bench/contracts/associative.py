"""Memories of key-value pairs, and methods that mix a memory's answer on features with the zero-shot prior."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from bench.contracts.backbone import Backbone
from bench.contracts.config import AssociativeConfig, MethodConfig
from bench.contracts.data import Query, Support
from bench.contracts.method import ForwardMethod, ProblemShape


class Memory(nn.Module, ABC):
    """Pairs of keys and values, compiled or stored, that answer a key with a value.

    Batched over episodes; the same class serves both sites, cached features and hidden states.
    """

    @abstractmethod
    def observe(self, keys: Tensor, values: Tensor, mask: Tensor) -> None:
        """Take in pairs.

        keys: ``[episode, item, dim_k]``; values: ``[episode, item, dim_v]``; mask: ``[episode, item]``.
        """

    def solve(self) -> None:
        """Finish after the last pair."""
        return

    @abstractmethod
    def read(self, keys: Tensor) -> Tensor:
        """``[episode, item, dim_v]``, the memory's answer to ``keys [episode, item, dim_k]``."""


class AssociativeMethod(ForwardMethod):
    """A memory on features: its answer is mixed with the prior by ``r = N / (N0 + N)`` (arXiv 2605.04651).

    A subclass gives ``make_memory``; one whose memory is not of pairs overrides observe, solve and recall.
    """

    Config: ClassVar[type[MethodConfig]] = AssociativeConfig
    linear_in_values: ClassVar[bool] = False
    """True where the memory's answer is a linear function of the stored values.

    A classification task has but ``n_way`` distinct values. Such a memory is then given labels, one-hot,
    and its answer is multiplied by the class values: the same answer from a smaller state.
    """

    def __init__(self, config: AssociativeConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self.prior_strength: float | Tensor = (
            shape.prior_strength if config.prior_strength is None else config.prior_strength
        )
        self.stores_labels = self.linear_in_values and shape.n_way < shape.value_dim
        self.memory_dim = shape.n_way if self.stores_labels else shape.value_dim
        self.memory = self.make_memory()
        self.register_buffer("count", torch.zeros(shape.n_episodes, dtype=torch.long))

    count: Tensor

    @abstractmethod
    def make_memory(self) -> Memory:
        """An empty memory for ``self.shape``, whose values are ``self.memory_dim`` wide."""

    def stored_values(self, support: Support) -> Tensor:
        """``[episode, item, memory_dim]``: what the memory is to answer for each item."""
        return one_hot(support.labels, self.shape.n_way).float() if self.stores_labels else support.values

    def observe(self, support: Support) -> None:
        """Pass the batch on to the memory and count its items."""
        self.memory.observe(support.keys, self.stored_values(support), support.mask)
        self.count += support.mask.sum(dim=1)

    def solve(self) -> None:
        """Have the memory finish."""
        self.memory.solve()

    def recall(self, query: Query) -> Tensor:
        """``[episode, item, dim_v]``, the memory's answer alone."""
        answer: Tensor = self.memory.read(query.keys)
        return answer @ query.classes.class_embeddings if self.stores_labels else answer

    def predict(self, query: Query) -> Tensor:
        """Scores of the mixed answer ``(1 - r) * prior + r * recalled``; the prior alone where nothing was observed."""
        count = self.count.to(query.prior.dtype)
        # Kept above 0 so that without a prior and without examples the share is 0, not 0 / 0.
        total = (self.prior_strength + count).clamp(min=torch.finfo(count.dtype).tiny)
        share = (count / total).view(-1, 1, 1)
        return self.backbone.class_logits((1 - share) * query.prior + share * self.recall(query), query.classes)
