"""Which items a store of limited size keeps, of all that came by: as many of each class, drawn at random."""

from typing import Self

import torch
from torch import Tensor

from bench.contracts import Limits, ProblemShape
from methods._held_out import rank_in_class

COUNTER = 8
"""Bytes an episode that an associative method counts its items in."""


class Reservoir:
    """Choice of items for a store with a limit of bytes an episode; all of them where there is no limit.

    Every item has a random number of its own, and the lowest of each class stay: a uniform sample of the class, however
    the items came in (reservoir sampling, Vitter 1985, by random keys). Where classes are of different size, small
    ones are kept whole and the others share what is left. ``bytes_limit``: per episode, None for none.
    """

    def __init__(self, bytes_limit: int | None, n_way: int, seed: int) -> None:
        self.bytes_limit, self.n_way = bytes_limit, n_way
        self._generator = torch.Generator().manual_seed(seed)

    @classmethod
    def of(cls, shape: ProblemShape, bytes_once: int = 0, stores: int = 1) -> Self:
        """For one of ``stores`` stores of a method that keeps ``bytes_once`` beside them."""
        whole = shape.limits.state_bytes
        return cls(None if whole is None else max(0, whole - bytes_once) // stores, shape.n_way, shape.seed)

    def most(self, bytes_each: int) -> int | None:
        """Items of ``bytes_each`` that an episode may keep."""
        return Limits(self.bytes_limit).items(bytes_each)

    def draws(self, mask: Tensor) -> Tensor:
        """``[episode, item]`` random numbers, the same in whatever batches an episode's items come."""
        n_episodes, n_items = mask.shape
        return torch.rand(n_items, n_episodes, generator=self._generator, dtype=torch.float32).mT.to(mask.device)

    def chosen(self, draw: Tensor, labels: Tensor, mask: Tensor, most: int) -> Tensor:
        """``[episode, most]``: where the items to keep stand, those of the lowest rank in their classes first.

        draw, labels, mask: ``[episode, item]``, of more than ``most`` items; padding is kept last.

        Returns:
            ``[episode, most]``, int64.
        """
        rank = rank_in_class(draw, labels, mask, self.n_way).masked_fill(~mask, mask.shape[1])
        order = draw.argsort(dim=1)
        order = order.gather(1, rank.gather(1, order).argsort(dim=1, stable=True))
        return order[:, :most]
