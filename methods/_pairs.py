"""Memories that keep every pair they observe; shared by the methods that compare a query with each of them."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from bench.contracts import Memory
from methods._reservoir import Reservoir

SCORES_AT_ONCE = 2**24
"""Query-item scores held at a time on a CPU (64 MiB of float32), however many queries and items there are."""
ON_ACCELERATOR = 2**28
"""The same on an accelerator, which would read all keys for every few queries (1 GiB)."""

WIDENED_AT_ONCE = 2**21
"""Numbers in float64 at a time on a CPU (16 MiB), few enough for its caches."""
WIDENED_ON_ACCELERATOR = 2**24
"""The same on an accelerator (128 MiB)."""


def scores_at_once(device: torch.device) -> int:
    """Query-item scores to hold at a time on a device."""
    return SCORES_AT_ONCE if device.type == "cpu" else ON_ACCELERATOR


def without_padding(tensor: Tensor, mask: Tensor) -> Tensor:
    """``tensor [episode, item, dim]`` with 0 where ``mask [episode, item]`` is False, whatever stood there.

    The same tensor, not a copy, where nothing is padding.

    Returns:
        ``[episode, item, dim]``.
    """
    if bool(mask.all()):
        return tensor
    return tensor.masked_fill(~mask.unsqueeze(-1), 0)


def episodes_widened(n_items: int, width: int, device: torch.device) -> int:
    """Number of episodes of ``n_items`` keys whose features of ``width`` numbers are in float64 at a time."""
    at_once = WIDENED_AT_ONCE if device.type == "cpu" else WIDENED_ON_ACCELERATOR
    return max(1, at_once // max(1, n_items * width))


def widened(keys: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Some episodes of ``keys [episode, item, dim]`` at a time in float64.

    Yields:
        Their place among all, and their keys, which are in the same memory as those before: fresh memory takes longer
        than widening does.
    """
    step = episodes_widened(keys.shape[1], keys.shape[2], keys.device)
    memory = keys.new_empty(min(step, len(keys)), *keys.shape[1:], dtype=torch.float64)
    for start in range(0, len(keys), step):
        part = slice(start, start + step)
        yield part, memory[: len(keys[part])].copy_(keys[part])


def joined(batches: Sequence[Tensor]) -> Tensor:
    """Batches ``[episode, item, ...]`` as one tensor, which is the batch itself where there is but one."""
    return batches[0] if len(batches) == 1 else torch.cat(list(batches), dim=1)


def _at(tensor: Tensor, index: Tensor) -> Tensor:
    """Items of ``tensor [episode, item, ...]`` at ``index [episode, place]``."""
    rows = torch.arange(len(index), device=index.device).unsqueeze(1)
    return tensor[rows, index]


class Filled:
    """Tensors ``[episode, item, ...]`` that are filled batch by batch, without a second copy when they are complete.

    Attributes:
        n_items: Items that will come.
    """

    def __init__(self, n_items: int) -> None:
        self.n_items, self._filled = n_items, 0
        self._tensors: tuple[Tensor, ...] = ()

    def add(self, batch: tuple[Tensor, ...]) -> None:
        """Add a batch; a first one of all items is kept as it is. Padding may make it more than was to come."""
        n_items = batch[0].shape[1]
        if self._tensors and self._filled + n_items > self._tensors[0].shape[1]:
            self._tensors = tuple(
                torch.cat(pair, dim=1) for pair in zip(self.tensors(), batch, strict=True)
            )  # fmt: skip
            self._filled += n_items
            return
        if not self._tensors:
            whole = n_items >= self.n_items
            self._tensors = batch if whole else tuple(
                part.new_empty(len(part), self.n_items, *part.shape[2:]) for part in batch
            )  # fmt: skip
        for tensor, part in zip(self._tensors, batch, strict=True):
            if tensor is not part:
                tensor[:, self._filled : self._filled + n_items] = part
        self._filled += n_items

    def tensors(self) -> tuple[Tensor, ...]:
        """All that was added."""
        return tuple(tensor[:, : self._filled] for tensor in self._tensors)


class StoredPairs(Memory):
    """Keeps keys ``[episode, item, dim_k]``, values ``[episode, item, dim_v]`` and mask ``[episode, item]``.

    Padding is stored as 0. Its state grows with the items and a read costs time in proportion to them, unless a
    reservoir bounds it. n_items: pairs that an episode will give, where that is known; they are then held once.
    """

    def __init__(
        self, n_episodes: int, key_dim: int, value_dim: int, reservoir: Reservoir | None = None, n_items: int = 0
    ) -> None:
        super().__init__()
        self._reservoir = reservoir or Reservoir(None, n_way=1, seed=0)
        self._batches: list[tuple[Tensor, ...]] = []
        self._filled = Filled(n_items)
        self._draws: Tensor | None = None
        self.register_buffer("keys", torch.zeros(n_episodes, 0, key_dim))
        self.register_buffer("values", torch.zeros(n_episodes, 0, value_dim))
        self.register_buffer("mask", torch.zeros(n_episodes, 0, dtype=torch.bool))

    keys: Tensor
    values: Tensor
    mask: Tensor

    def observe(
        self, keys: Tensor, values: Tensor, mask: Tensor, labels: Tensor | None = None, draws: Tensor | None = None
    ) -> None:
        """Keep the batch, or what a reservoir leaves of it; it becomes part of the state in solve.

        labels: ``[episode, item]``, for a reservoir to keep classes in balance; None where there are none.
        draws: ``[episode, item]``, a number of each item by which ``read`` can leave it out; None for no such reading.
        """
        batch: tuple[Tensor, ...] = (without_padding(keys, mask), without_padding(values, mask), mask)
        batch = batch if draws is None else (*batch, draws)
        most = self._most()
        if most is None and self._filled.n_items:
            self._filled.add(batch)
            return
        if most is None:
            self._batches.append(batch)
            return
        labels = torch.zeros_like(mask, dtype=torch.long) if labels is None else labels
        self._batches.append((*batch, labels, self._reservoir.draws(mask)))
        if sum(batch[2].shape[1] for batch in self._batches) > most:
            together = [joined(parts) for parts in zip(*self._batches, strict=True)]
            index = self._reservoir.chosen(together[-1], together[-2], together[2], most)
            self._batches = [tuple(_at(tensor, index) for tensor in together)]

    def _most(self) -> int | None:
        each = self.keys.shape[2] * self.keys.element_size() + self.values.shape[2] * self.values.element_size()
        return self._reservoir.most(each + self.mask.element_size())

    def solve(self) -> None:
        """Join the batches."""
        kept = self._filled.tensors() or tuple(joined(parts) for parts in zip(*self._batches, strict=True))
        if kept:
            self.keys, self.values, self.mask, *rest = kept
            self._draws = rest[0] if rest else None
            self._batches.clear()
            self._filled = Filled(self._filled.n_items)

    def forget_draws(self) -> None:
        """From now on, answer with all pairs."""
        self._draws = None

    def read(self, keys: Tensor, left_out: Tensor | None = None) -> Tensor:
        """Answer ``keys [episode, item, dim_k]``, as many at a time as memory allows.

        left_out: ``[episode, item]``, draws of the pairs that are to have no part in the answer of each key.

        Returns:
            ``[episode, item, dim_v]``.
        """
        stored = max(1, self.keys.shape[0] * self.keys.shape[1])
        size = max(1, scores_at_once(keys.device) // stored)
        allowed = self.mask.unsqueeze(1)
        if left_out is None or self._draws is None:
            return torch.cat([self.answer(part, allowed) for part in torch.split(keys, size, dim=1)], dim=1)
        parts = zip(torch.split(keys, size, dim=1), torch.split(left_out, size, dim=1), strict=True)
        others = ((part, allowed & (draws.unsqueeze(2) != self._draws.unsqueeze(1))) for part, draws in parts)
        return torch.cat([self.answer(*each) for each in others], dim=1)

    @abstractmethod
    def answer(self, keys: Tensor, allowed: Tensor) -> Tensor:
        """Answers to a part of the queries, small enough to score against every pair at once.

        Args:
            keys: ``[episode, item, dim_k]``.
            allowed: ``[episode, item, pair]`` or ``[episode, 1, pair]``, the pairs that an answer may be made of.

        Returns:
            ``[episode, item, dim_v]``.
        """
