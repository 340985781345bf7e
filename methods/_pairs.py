"""Memories that keep every pair they observe; shared by the methods that compare a query with each of them."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from bench.contracts import Memory

SCORES_AT_ONCE = 2**24
"""Query-item scores held at a time (64 MiB of float32), however many queries and items there are."""


def without_padding(tensor: Tensor, mask: Tensor) -> Tensor:
    """``tensor [episode, item, dim]`` with 0 where ``mask [episode, item]`` is False, whatever stood there.

    The same tensor, not a copy, where nothing is padding.
    """
    if bool(mask.all()):
        return tensor
    return tensor.masked_fill(~mask.unsqueeze(-1), 0)


def joined(batches: Sequence[Tensor]) -> Tensor:
    """Batches ``[episode, item, ...]`` as one tensor, which is the batch itself where there is but one."""
    return batches[0] if len(batches) == 1 else torch.cat(list(batches), dim=1)


class StoredPairs(Memory):
    """Keeps keys ``[episode, item, dim_k]``, values ``[episode, item, dim_v]`` and mask ``[episode, item]``.

    Padding is stored as 0. Its state grows with the items and a read costs time in proportion to them.
    """

    def __init__(self, n_episodes: int, key_dim: int, value_dim: int) -> None:
        super().__init__()
        self._batches: list[tuple[Tensor, Tensor, Tensor]] = []
        self.register_buffer("keys", torch.zeros(n_episodes, 0, key_dim))
        self.register_buffer("values", torch.zeros(n_episodes, 0, value_dim))
        self.register_buffer("mask", torch.zeros(n_episodes, 0, dtype=torch.bool))

    keys: Tensor
    values: Tensor
    mask: Tensor

    def observe(self, keys: Tensor, values: Tensor, mask: Tensor) -> None:
        """Keep the batch; it becomes part of the state when all are joined in solve."""
        self._batches.append((without_padding(keys, mask), without_padding(values, mask), mask))

    def solve(self) -> None:
        """Join the batches."""
        if self._batches:
            self.keys, self.values, self.mask = (joined(parts) for parts in zip(*self._batches, strict=True))
            self._batches.clear()

    def read(self, keys: Tensor) -> Tensor:
        """Answer ``keys [episode, item, dim_k]``, as many at a time as memory allows."""
        stored = max(1, self.keys.shape[0] * self.keys.shape[1])
        parts = torch.split(keys, max(1, SCORES_AT_ONCE // stored), dim=1)
        return torch.cat([self.answer(part) for part in parts], dim=1)

    @abstractmethod
    def answer(self, keys: Tensor) -> Tensor:
        """``[episode, item, dim_v]`` for a part of the queries, small enough to score against every pair at once."""
