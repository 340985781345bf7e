"""Memories of key-value pairs, and methods that mix a memory's value on features with the zero-shot prior."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from bench.contracts.backbone import Backbone
from bench.contracts.config import AssociativeConfig, MethodConfig
from bench.contracts.data import Query, Support
from bench.contracts.kinds import EmbeddingUse
from bench.contracts.method import ForwardMethod
from bench.contracts.problem import ProblemShape


class Memory(nn.Module, ABC):
    """Memory of key-value pairs, compiled or stored, that maps a key to a value.

    Batched over episodes; the same class serves both sites, cached features and hidden states.
    """

    @abstractmethod
    def observe(self, keys: Tensor, values: Tensor, mask: Tensor) -> None:
        """Store a batch of pairs.

        Args:
            keys: ``[episode, item, dim_k]``.
            values: ``[episode, item, dim_v]``.
            mask: ``[episode, item]``, False for padding.
        """

    def solve(self) -> None:
        """Finish after the last pair."""
        return

    @abstractmethod
    def read(self, keys: Tensor) -> Tensor:
        """Values recalled for keys.

        Args:
            keys: ``[episode, item, dim_k]``.

        Returns:
            ``[episode, item, dim_v]``.
        """


class AssociativeMethod(ForwardMethod):
    """Memory on features, mixed with the prior by the share ``r = N / (N0 + N)`` of N items (arXiv 2605.04651).

    A subclass defines ``make_memory``; one whose memory does not hold pairs overrides observe, solve and recall.

    Attributes:
        linear_in_values: True where the recalled value is a linear function of the stored values. A classification task
            has only ``n_way`` distinct values. Such a memory stores one-hot labels, and what it recalls is multiplied
            by the class embeddings: the same result from a smaller state.
        prior_strength: N0, the number of labelled examples that the prior counts for.
        stores_labels: Whether the memory stores one-hot labels in place of class embeddings.
        memory_dim: Width of a stored value.
        memory: The memory.
        count: ``[episode]``, number of observed items.
    """

    Config: ClassVar[type[MethodConfig]] = AssociativeConfig
    linear_in_values: ClassVar[bool] = False

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

    @classmethod
    def embedding_use(cls, config: MethodConfig) -> EmbeddingUse:
        """Values to store and mix, for which one-hot labels do as well.

        Args:
            config: The config.

        Returns:
            The use.
        """
        return EmbeddingUse.LABELS_INSTEAD

    @abstractmethod
    def make_memory(self) -> Memory:
        """An empty memory for ``self.shape``, with values ``self.memory_dim`` wide."""

    def stored_values(self, support: Support) -> Tensor:
        """Values to store for support items.

        Args:
            support: A batch of labelled items.

        Returns:
            ``[episode, item, memory_dim]``: one-hot labels or class embeddings.
        """
        return one_hot(support.labels, self.shape.n_way).float() if self.stores_labels else support.values

    def observe(self, support: Support) -> None:
        """Store a batch in the memory and count its items.

        Args:
            support: A batch of labelled items.
        """
        self.memory.observe(support.keys, self.stored_values(support), support.mask)
        self.count += support.mask.sum(dim=1)

    def solve(self) -> None:
        """Finish the memory."""
        self.memory.solve()

    def recall(self, query: Query) -> Tensor:
        """Values recalled by the memory alone.

        Args:
            query: A batch of queries.

        Returns:
            ``[episode, item, dim_v]``.
        """
        answer: Tensor = self.memory.read(query.keys)
        return answer @ query.classes.class_embeddings if self.stores_labels else answer

    def predict(self, query: Query) -> Tensor:
        """Class scores of ``(1 - r) * prior + r * recalled``; of the prior alone where nothing was observed.

        Args:
            query: A batch of queries.

        Returns:
            ``[episode, item, way]`` logits.
        """
        count = self.count.to(query.prior.dtype)
        # Kept above 0 so that without a prior and without examples the share is 0, not 0 / 0.
        total = (self.prior_strength + count).clamp(min=torch.finfo(count.dtype).tiny)
        share = (count / total).view(-1, 1, 1)
        return self.backbone.class_logits((1 - share) * query.prior + share * self.recall(query), query.classes)
