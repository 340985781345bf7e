"""Labelled items set aside to choose hyper-parameters by: the same ones in any order and any batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from bench.contracts import Items, Support

MOST_PER_CLASS = 32
"""Items of a class that are set aside where the support set streams by, so that memory does not grow with it."""
MOST_ITEMS = 4096
"""Items that are set aside in all, where classes are more than 128: one of each at least."""
_ODD = 0x9E3779B97F4A7C15
_BITS = 2**64


def draws(items: Items, seed: int) -> Tensor:
    """``[episode, item]`` random int64 that depend on the seed and on the item's place in its pool alone.

    Ordering items by it shuffles them, whatever order or batches they came in (SplitMix64's mixing).

    Returns:
        ``[episode, item]``, int64.
    """
    start = np.uint64((seed + 1) * _ODD % _BITS)
    mixed = (items.inputs.positions.astype(np.uint64) + np.uint64(1)) * np.uint64(_ODD) + start
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return torch.from_numpy((mixed >> np.uint64(1)).astype(np.int64)).to(items.keys.device)


def rank_in_class(draw: Tensor, labels: Tensor, mask: Tensor, n_way: int) -> Tensor:
    """``[episode, item]``: how many items of the same class have a lower draw. Padding is a class of its own."""
    labels = labels.where(mask, n_way)
    order = draw.argsort(dim=1)
    order = order.gather(1, labels.gather(1, order).argsort(dim=1, stable=True))
    sizes = labels.new_zeros(len(labels), n_way + 1).scatter_add_(1, labels, torch.ones_like(labels))
    first = (sizes.cumsum(dim=1) - sizes).gather(1, labels.gather(1, order))
    place = torch.arange(labels.shape[1], device=labels.device) - first
    return torch.empty_like(place).scatter_(1, order, place)


def most_per_class(n_way: int) -> int:
    """Items of each of ``n_way`` classes that are set aside: ``MOST_PER_CLASS``, fewer where classes are many."""
    return max(1, min(MOST_PER_CLASS, MOST_ITEMS // n_way))


def n_held_out(sizes: Tensor, parts: int, most: int = MOST_PER_CLASS) -> Tensor:
    """How many of ``sizes`` items to hold out: one in ``parts`` but at least one, and none of a single item."""
    wanted = (sizes // parts).clamp(min=1, max=most)
    return wanted.where(sizes > 1, 0)


@dataclass(frozen=True)
class Sample:
    """Some labelled items of each episode.

    keys ``[episode, item, dim_k]`` and prior ``[episode, item, dim_v]`` are 0 where mask is False; they are one tensor
    where those of the support set are.
    """

    keys: Tensor
    prior: Tensor
    labels: Tensor
    mask: Tensor
    draw: Tensor

    @classmethod
    def of(cls, support: Support, seed: int) -> Self:
        """All items of a batch, which is not copied unless some of it is padding."""
        sample = cls(support.keys, support.prior, support.labels, support.mask, draws(support, seed))
        if bool(support.mask.all()):
            return sample
        padding = ~support.mask.unsqueeze(-1)
        return sample._with_features(lambda features: features.masked_fill(padding, 0))

    def part(self, items: slice) -> Self:
        """Some items of every episode."""
        rest = replace(self, labels=self.labels[:, items], mask=self.mask[:, items], draw=self.draw[:, items])
        return rest._with_features(lambda features: features[:, items])

    def _with_features(self, change: Callable[[Tensor], Tensor]) -> Self:
        """A copy with keys and priors changed, which stay one tensor where they are."""
        keys = change(self.keys)
        return replace(self, keys=keys, prior=keys if self.prior is self.keys else change(self.prior))

    def shuffled(self) -> Self:
        """The items in the order of their draws, padding last."""
        order = self.draw.masked_fill(~self.mask, torch.iinfo(torch.int64).max).argsort(dim=1)
        return self._at(order)

    def shuffled_by(self, seed: Sequence[int]) -> Self:
        """The items in another order, padding last; it depends on the seed and on the present order alone."""
        # NumPy's numbers at the first places are the same however many follow.
        number = torch.from_numpy(np.random.default_rng(list(seed)).random(self.mask.shape[1])).to(self.keys.device)
        return self._at(number.expand_as(self.mask).masked_fill(~self.mask, 2.0).argsort(dim=1))

    def where(self, kept: Tensor) -> Self:
        """Only the items where ``kept [episode, item]``, moved to the front."""
        kept = kept & self.mask
        width = int(kept.sum(dim=1).amax())
        index = kept.long().argsort(dim=1, descending=True, stable=True)[:, :width]
        return replace(self, mask=kept)._at(index)

    def _at(self, index: Tensor) -> Self:
        mask = self.mask.gather(1, index)
        padding, whole = ~mask.unsqueeze(-1), bool(mask.all())

        def features(tensor: Tensor) -> Tensor:
            found = tensor.gather(1, index.unsqueeze(-1).expand(-1, -1, tensor.shape[-1]))
            return found if whole else found.masked_fill(padding, 0)

        labels, draw = self.labels.gather(1, index).where(mask, 0), self.draw.gather(1, index)
        return replace(self, labels=labels, mask=mask, draw=draw)._with_features(features)

    @classmethod
    def joined(cls, samples: Sequence[Self]) -> Self:
        """All items of samples of the same episodes; the sample itself where there is but one."""
        if len(samples) == 1:
            return samples[0]
        keys, prior, labels, mask, draw = zip(*(sample.tensors() for sample in samples), strict=True)
        same = all(sample.prior is sample.keys for sample in samples)
        joined = torch.cat(keys, dim=1)
        rest = (torch.cat(each, dim=1) for each in (labels, mask, draw))
        return cls(joined, joined if same else torch.cat(prior, dim=1), *rest)

    def tensors(self) -> tuple[Tensor, ...]:
        """The fields in order."""
        return self.keys, self.prior, self.labels, self.mask, self.draw

    def lowest(self, n_way: int) -> Self:
        """At most ``most_per_class`` items of each class, those with the lowest draws."""
        return self.where(self.rank(n_way) < most_per_class(n_way))

    def rank(self, n_way: int) -> Tensor:
        """``[episode, item]``, see rank_in_class."""
        return rank_in_class(self.draw, self.labels, self.mask, n_way)

    def held_out(self, sizes: Tensor, parts: int, most: int | None = None) -> Tensor:
        """``[episode, item]``: whether to hold an item out, given the support set's class ``sizes [episode, way]``."""
        most = most_per_class(sizes.shape[1]) if most is None else most
        wanted = n_held_out(sizes, parts, most).gather(1, self.labels)
        return (self.rank(sizes.shape[1]) < wanted) & self.mask


class StreamedSample:
    """``Sample.lowest`` of a support set that streams by, in time proportional to it."""

    def __init__(self, n_way: int) -> None:
        """Start without items.

        Args:
            n_way: Number of classes.
        """
        self.n_way = n_way
        self._kept: list[Sample] = []

    def add(self, batch: Sample) -> None:
        """Take in a batch, and forget what is no longer among the lowest when that is half of what is kept."""
        self._kept.append(batch.lowest(self.n_way))
        if sum(sample.mask.shape[1] for sample in self._kept) > 2 * most_per_class(self.n_way) * self.n_way:
            self._kept = [self.lowest()]

    def __bool__(self) -> bool:
        return bool(self._kept)

    def lowest(self) -> Sample:
        """The sample of all batches so far, one at least."""
        return self._kept[0] if len(self._kept) == 1 else Sample.joined(self._kept).lowest(self.n_way)
