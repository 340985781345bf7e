"""Memories of very many pairs: queries are compared with one block of them after another.

All scores of a few queries would need all keys to be read for every few queries, and one-hot labels of all pairs are
larger than the keys.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from methods._pairs import StoredPairs, scores_at_once

MANY = 100_000
"""Items of an episode from which on queries are compared with a block of them at a time."""
BLOCK = 2**14
"""Items of a block."""


def by_class(weights: Tensor, labels: Tensor, n_way: int) -> Tensor:
    """Sums of the weights of each class: a product with one-hot labels of the classes that occur, few in a block.

    Args:
        weights: ``[query, item]``.
        labels: ``[item]``.
        n_way: Number of classes.

    Returns:
        ``[query, way]``.
    """
    present, place = torch.unique(labels, return_inverse=True)
    sums = weights.new_zeros(len(weights), n_way)
    sums[:, present] = weights @ one_hot(place, len(present)).to(weights.dtype)
    return sums


class Reduction(ABC):
    """Answers of one episode to some queries, made of one block of pairs after another."""

    @abstractmethod
    def add(self, scores: Tensor, block: slice, excluded: Tensor | None) -> None:
        """Take in a block.

        Args:
            scores: ``[query, item]``, products of queries and the block's keys; may be overwritten.
            block: The block's place among the items.
            excluded: ``[query, item]`` or ``[1, item]``, pairs that are to have no part; None for none.
        """

    @abstractmethod
    def result(self) -> Tensor:
        """``[query, dim_v]``, the answers."""


class BlockPairs(StoredPairs):
    """Pairs that are read at once while they are few, and in blocks from ``MANY`` on."""

    def in_blocks(self) -> bool:
        """Whether the pairs are read block by block, being many."""
        return self.keys.shape[1] >= MANY

    def read(self, keys: Tensor, left_out: Tensor | None = None) -> Tensor:
        """Answer ``keys [episode, item, dim_k]``; see StoredPairs.read."""
        return self.read_in_blocks(keys, left_out, self.reduction) if self.in_blocks() else super().read(keys, left_out)

    def read_in_blocks(
        self, keys: Tensor, left_out: Tensor | None, reduction: Callable[[int, int], Reduction]
    ) -> Tensor:
        """``read`` in blocks of both queries and pairs, by a reduction of an episode and a number of queries."""
        size = max(1, scores_at_once(keys.device) // BLOCK)
        draws = None if left_out is None else self._draws
        answers = []
        for episode, queries in enumerate(keys):
            padded, parts = not bool(self.mask[episode].all()), []
            for number, part in enumerate(torch.split(queries, size)):
                made = reduction(episode, len(part))
                for start in range(0, self.keys.shape[1], BLOCK):
                    block = slice(start, start + BLOCK)
                    excluded = ~self.mask[episode, block].unsqueeze(0) if padded else None
                    if left_out is not None and draws is not None:
                        left = left_out[episode, number * size : (number + 1) * size]
                        own = left.unsqueeze(1) == draws[episode, block]
                        excluded = own if excluded is None else own | excluded
                    made.add(part @ self.keys[episode, block].T, block, excluded)
                parts.append(made.result())
            answers.append(torch.cat(parts))
        return torch.stack(answers)

    @abstractmethod
    def reduction(self, episode: int, n_queries: int) -> Reduction:
        """An empty reduction to the answers of an episode to some queries, where pairs are read in blocks."""
