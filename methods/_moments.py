"""What a linear classifier reads of labelled items: class sums and second moments, streamed where items are many."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from bench.contracts import ProblemShape, Support
from bench.toolkit.least_squares import Spectrum
from bench.toolkit.ridge import ridge_of_gram, ridge_of_rows
from methods._held_out import Sample, StreamedSample
from methods._pairs import episodes_widened

NUMBERS_AT_ONCE = 2**24
"""Feature entries held in float64 at a time (128 MiB)."""
MANY_CLASSES = 128
"""Number of classes above which a CPU adds up items by class instead of multiplying with one-hot labels."""
HELD_OUT_PARTS = 5
"""Inverse of the share of each class that is held out where a hyper-parameter is chosen."""


def class_indicator(labels: Tensor, mask: Tensor, n_way: int) -> Tensor:
    """One-hot ``[episode, item, way]`` in float64, rows of 0 where ``mask`` is False."""
    return one_hot(labels, n_way).double() * mask.unsqueeze(-1)


def class_sizes(labels: Tensor, mask: Tensor, n_way: int) -> Tensor:
    """``[episode, way]``, number of items of each class, in float64; of labels and mask ``[episode, item]``."""
    return mask.new_zeros(len(labels), n_way, dtype=torch.float64).scatter_add_(1, labels, mask.double())


def class_sums(rows: Tensor, labels: Tensor, mask: Tensor, n_way: int) -> Tensor:
    """``L^T H [episode, way, dim]``, sums of the rows of each class.

    Args:
        rows: H ``[episode, item, dim]`` in float64, 0 where there is no item.
        labels: ``[episode, item]``.
        mask: ``[episode, item]``.
        n_way: Number of classes.

    Returns:
        The sums. Where classes are many, a product with one-hot labels would take as long as ``H^T H``.
    """
    if not adds_by_class(rows, n_way):
        return class_indicator(labels, mask, n_way).mT @ rows
    n_episodes, _, dim = rows.shape
    first = n_way * torch.arange(n_episodes, device=rows.device).unsqueeze(1)
    sums = rows.new_zeros(n_episodes * n_way, dim)
    return sums.index_add_(0, (first + labels).flatten(), rows.reshape(-1, dim)).view(n_episodes, n_way, dim)


def adds_by_class(rows: Tensor, n_way: int) -> bool:
    """Whether ``class_sums`` adds rows one by one: on a CPU alone, where the order of a sum is always the same."""
    return n_way > MANY_CLASSES and rows.device.type == "cpu"


@dataclass(frozen=True)
class Moments:
    """Sums over a set of items with features H ``[E, N, d]`` and one-hot labels L ``[E, N, C]``, in float64.

    count: ``[E, C]``. second: ``H^T H [E, d, d]`` where indicator is None, with sums ``L^T H [E, C, d]``; else H
    itself, being smaller, with ``indicator`` L, and empty sums.
    """

    count: Tensor
    second: Tensor
    indicator: Tensor | None
    sums: Tensor

    @classmethod
    def of(cls, rows: Tensor, labels: Tensor, mask: Tensor, n_way: int, *, summed: bool) -> "Moments":
        """Moments of float64 rows that are 0 where there is no item."""
        count = class_sizes(labels, mask, n_way)
        if summed:
            return cls(count, rows.mT @ rows, None, class_sums(rows, labels, mask, n_way))
        return cls(count, rows, class_indicator(labels, mask, n_way), rows[:, :0])

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.count + other.count, self.second + other.second, None, self.sums + other.sums)

    def __sub__(self, other: "Moments") -> "Moments":
        return Moments(self.count - other.count, self.second - other.second, None, self.sums - other.sums)

    def episodes(self, part: slice) -> "Moments":
        """Those of some of the episodes."""
        indicator = None if self.indicator is None else self.indicator[part]
        return Moments(self.count[part], self.second[part], indicator, self.sums[part])

    @cached_property
    def cross(self) -> Tensor:
        """``H^T L [E, d, C]``."""
        # Transposed, so that the longest side of the product is read in the order in which it lies in memory.
        return (self.sums if self.indicator is None else self.indicator.mT @ self.second).mT

    @property
    def means(self) -> Tensor:
        """``[E, C, d]``; 0 for a class without items."""
        return self.cross.mT / self.count.clamp(min=1).unsqueeze(-1)

    @property
    def trace(self) -> Tensor:
        """``[E]``, that of ``H^T H``."""
        if self.indicator is None:
            return self.second.diagonal(dim1=-2, dim2=-1).sum(dim=1)
        length: Tensor = torch.linalg.vector_norm(self.second, dim=(1, 2))
        return length.square()

    def ridge(self, lam: Tensor) -> Tensor:
        """``(H^T H + lam I)^-1 H^T L [E, d, C]``, of ``lam [E]`` above 0."""
        if self.indicator is None:
            return ridge_of_gram(self.second, self.cross, lam)
        return ridge_of_rows(self.second, self.indicator, lam)

    def spectrum(self, *, centred: bool = False) -> Spectrum:
        """That of ``H^T H``, or of the scatter around class means if ``centred``."""
        if self.indicator is None:
            return Spectrum.of_gram(self.second - self.cross @ self.means if centred else self.second)
        return Spectrum.of_rows(self.second - self.indicator @ self.means if centred else self.second)


@dataclass(frozen=True)
class Part:
    """Some episodes: moments of all their items, and all items kept. What is held out is computed when it is read.

    moments: moments of keys, labels and mask. streamed: whether only a part of the items is kept.
    """

    episodes: slice
    everything: Moments
    sample: Sample
    moments: Callable[[Tensor, Tensor, Tensor], Moments]
    streamed: bool

    @cached_property
    def _held(self) -> Tensor:
        return self.sample.held_out(self.everything.count.long(), HELD_OUT_PARTS)

    @property
    def held_out(self) -> Sample:
        """The items held out."""
        return self.sample.where(self._held)

    @cached_property
    def training(self) -> Moments:
        """Moments of the items that are not held out."""
        sample = self.sample
        if self.streamed:
            return self.everything - self.moments(sample.keys, sample.labels, self._held)
        return self.moments(sample.keys, sample.labels, sample.mask & ~self._held)


class Observed:
    """The support set, as moments from ``width`` items on and as its keys below, plus items to hold out.

    expand: features ``[..., width]`` of keys.
    """

    def __init__(self, shape: ProblemShape, width: int, expand: Callable[[Tensor], Tensor]) -> None:
        self.shape, self.width, self.expand = shape, width, expand
        self.streams = shape.n_support >= width
        self._sums: Moments | None = None
        self._batches: list[Sample] = []
        self._sample = StreamedSample(shape.n_way)

    def observe(self, support: Support) -> None:
        """Take in one batch."""
        batch = Sample.of(support, self.shape.seed)
        if not self.streams:
            self._batches.append(batch)
            return
        step = max(1, NUMBERS_AT_ONCE // (len(batch.keys) * self.width))
        for start in range(0, batch.keys.shape[1], step):
            part = slice(start, start + step)
            sums = self._moments(batch.keys[:, part], batch.labels[:, part], batch.mask[:, part])
            self._sums = sums if self._sums is None else self._sums + sums
        # Of items that are only to be held out, as many are kept as can be chosen.
        self._sample.add(batch)

    def _moments(self, keys: Tensor, labels: Tensor, mask: Tensor) -> Moments:
        rows = self.expand(keys).double()
        rows = rows if bool(mask.all()) else rows * mask.unsqueeze(-1)
        return Moments.of(rows, labels, mask, self.shape.n_way, summed=self.streams)

    def parts(self) -> Iterator[Part]:
        """All that was observed, as many episodes at a time as memory allows."""
        if not (self._batches or self._sample):
            return
        sample = self._sample.lowest() if self.streams else Sample.joined(self._batches)
        n_episodes, n_items = sample.labels.shape
        if self.streams:
            step = max(1, NUMBERS_AT_ONCE // self.width**2)
        else:
            step = episodes_widened(n_items, self.width, sample.keys.device)
        for start in range(0, n_episodes, step):
            episodes = slice(start, start + step)
            yield self._part(episodes, Sample(*(tensor[episodes] for tensor in sample.tensors())))

    def _part(self, episodes: slice, sample: Sample) -> Part:
        if self._sums is None:
            everything = self._moments(sample.keys, sample.labels, sample.mask)
        else:
            everything = self._sums.episodes(episodes)
        return Part(episodes, everything, sample, self._moments, self._sums is not None)
