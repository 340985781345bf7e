"""Linear discriminants of Gaussians with one shrunk covariance, and their scores for examples that are left out."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from bench.toolkit.least_squares import Spectrum
from methods._held_out import Sample
from methods._moments import Moments, class_indicator

LEAST = 1e-6
"""Least shrinkage: without any, keys that are fewer than dimensions have no inverse covariance."""
NOTHING = 1e-10
"""Trace of a scatter below which keys of length 1 do not scatter."""


def identity_share(trace: Tensor, shrinkage: Tensor, dim: int) -> Tensor:
    """``s tr(V) / d``, what is added to (1 - s) V; where nothing scatters 1, so that means alone decide.

    Args:
        trace: ``[...]``, of the scatter V.
        shrinkage: ``[...]``, s.
        dim: d.

    Returns:
        ``[...]``.
    """
    return (shrinkage * trace / dim).where(trace > NOTHING, 1.0)


@dataclass(frozen=True)
class Scatter:
    """The scatter V of keys around their class means, in the smaller of two forms, float64.

    Attributes:
        matrix: ``V [E, d, d]``, or inner products ``[E, N, N]`` of centred keys where these are fewer.
        count: ``[E, C]``.
        cross: Sums of the keys of each class ``[E, d, C]``.
        keys: ``[E, N, d]``, or None with V itself.
        indicator: One-hot labels ``[E, N, C]``, or None with V itself.
        gram: Inner products of the keys ``[E, N, N]``, or None with V itself.
        fourth: ``[E]``, mean of ``|x - mu|^4``; None where no items were given for it.
        dim: d.
    """

    matrix: Tensor
    count: Tensor
    cross: Tensor | None
    keys: Tensor | None
    indicator: Tensor | None
    gram: Tensor | None
    fourth: Tensor | None
    dim: int

    @classmethod
    def of_rows(cls, keys: Tensor, indicator: Tensor) -> Self:
        """From the keys themselves.

        Args:
            keys: ``[E, N, d]`` in float64, 0 for padding.
            indicator: ``[E, N, C]``, 0 for padding.

        Returns:
            The scatter.
        """
        gram, count = keys @ keys.mT, indicator.sum(dim=1)
        average = indicator / count.clamp(min=1).unsqueeze(1)
        centred = gram - indicator @ (average.mT @ gram)
        centred = centred - (centred @ average) @ indicator.mT
        fourth = centred.diagonal(dim1=-2, dim2=-1).square().sum(dim=1) / count.sum(dim=1).clamp(min=1)
        return cls(centred, count, None, keys, indicator, gram, fourth, keys.shape[-1])

    @classmethod
    def of(cls, moments: Moments, sample: Sample | None = None) -> Self:
        """From moments of the keys.

        Args:
            moments: Of all items.
            sample: Where moments are sums, items whose fourth moments stand for those of their classes; None for a
                scatter without fourth moments.

        Returns:
            The scatter.
        """
        if moments.indicator is not None:
            return cls.of_rows(moments.second, moments.indicator)
        count, means, fourth = moments.count, moments.means, None
        if sample is not None:
            indicator = class_indicator(sample.labels, sample.mask, count.shape[1])
            each = (sample.keys.double() - indicator @ means).square().sum(dim=-1, keepdim=True).square()
            by_class = (indicator.mT @ each).squeeze(-1) / indicator.sum(dim=1).clamp(min=1)
            fourth = (count * by_class).sum(dim=1) / count.sum(dim=1).clamp(min=1)
        matrix = moments.second - moments.cross @ means
        return cls(matrix, count, moments.cross, None, None, None, fourth, means.shape[-1])

    @property
    def trace(self) -> Tensor:
        """``[E]``, tr(V)."""
        return self.matrix.diagonal(dim1=-2, dim2=-1).sum(dim=1)

    @property
    def nothing(self) -> Tensor:
        """``[E]``, whether keys do not scatter at all."""
        return self.trace <= NOTHING

    def ledoit_wolf(self) -> Tensor:
        """Shrinkage of least expected squared error (Ledoit and Wolf 2004).

        Returns:
            ``[E]``, from LEAST to 1; 1 where nothing scatters.
        """
        assert self.fourth is not None
        count = self.count.sum(dim=1).clamp(min=1)
        squares, trace = self.matrix.square().sum(dim=(1, 2)) / count.square(), self.trace / count
        error = (self.fourth - squares) / (self.dim * count)
        distance = (squares - trace.square() / self.dim) / self.dim
        some = distance > 0
        return (error.minimum(distance) / distance.where(some, 1)).where(some, 1).clamp(LEAST, 1)

    def discriminant(self, shrinkage: Tensor) -> tuple[Tensor, Tensor]:
        """``S^-1 mu`` and ``mu^T S^-1 mu`` of class means mu, with ``S = ((1 - s) V + s tr(V) / d I) / N``.

        Args:
            shrinkage: ``[E]``, s.

        Returns:
            ``[E, d, C]`` and ``[E, 1, C]``. Where nothing scatters, S is I / d.
        """
        none, total = self.nothing, self.count.sum(dim=1).clamp(min=1)
        kept = (1 - shrinkage).masked_fill(none, 0).view(-1, 1, 1)
        shift = identity_share(self.trace, shrinkage, self.dim).view(-1, 1, 1)
        scale = total.where(~none, self.dim).view(-1, 1, 1)
        shrunk = kept * self.matrix
        shrunk.diagonal(dim1=-2, dim2=-1).add_(shift.squeeze(-1))
        factor = torch.linalg.cholesky(shrunk)
        sizes = self.count.clamp(min=1).unsqueeze(1)
        if self.cross is not None:
            means = self.cross / sizes
            weights = scale * torch.cholesky_solve(means, factor)
            squares = (means * weights).sum(dim=1, keepdim=True)
        else:
            assert self.keys is not None
            assert self.indicator is not None
            assert self.gram is not None
            # (V + t I)^-1 = (I - X^T (X X^T + t I)^-1 X) / t for centred keys X, written in coefficients of the keys.
            average = self.indicator / sizes
            products = self.gram @ average
            centred = products - self.indicator @ (average.mT @ products)
            part = kept * torch.cholesky_solve(centred, factor)
            coefficients = scale / shift * (average - part + average @ (self.indicator.mT @ part))
            # Transposed, so that the longest side of the product is read in the order in which it lies in memory.
            weights = (coefficients.mT @ self.keys).mT
            squares = (products * coefficients).sum(dim=1, keepdim=True)
        return weights, squares


class LeftOutOfMeans:
    """Scores of items by discriminants fitted to all other items, exact for every shrinkage.

    Without item i of class c, ``u = x_i - mu_c`` and ``k = n_c / (n_c - 1)``, the mean of c moves by ``-u / (n_c - 1)``
    and the scatter loses ``k u u^T``; the trace in the identity's share changes too. In the basis of the scatter's
    eigenvectors the inverse is a diagonal and one rank-1 term (Sherman and Morrison 1950).

    Attributes:
        mask: ``[episode, item]``, False for padding, and for the only item of a class.
    """

    def __init__(self, moments: Moments, spectrum: Spectrum, sample: Sample) -> None:
        """Compute what does not depend on the shrinkage.

        Args:
            moments: Of all items.
            spectrum: Of their scatter around class means.
            sample: Items to leave out, among them.
        """
        keys, means, self.count = sample.keys.double(), moments.means, moments.count
        self.dim, self.eigenvalues = keys.shape[-1], spectrum.eigenvalues
        self.labels = sample.labels
        self.own = class_indicator(sample.labels, sample.mask, self.count.shape[1]).bool()
        self.items, self.means = keys @ spectrum.basis.mT, means @ spectrum.basis.mT
        self.outside = (
            keys.square().sum(dim=-1, keepdim=True) - self.items.square().sum(dim=-1, keepdim=True),
            keys @ means.mT - self.items @ self.means.mT,
            (means.square().sum(dim=-1) - self.means.square().sum(dim=-1)).unsqueeze(1),
        )
        size = self.count.gather(1, sample.labels)
        self.mask = sample.mask & (size > 1)
        self.growth = (size / (size - 1).clamp(min=1)).unsqueeze(-1)
        others = (self.count.unsqueeze(1) - self.own.double()).clamp(min=1)
        self.total = (self.count.sum(dim=1) - 1).clamp(min=1).view(-1, 1, 1)
        self.frequencies = (others / self.total).log()

    def scores(self, shrinkage: Tensor) -> Tensor:
        """Scores as those of ``Lda.predict`` without a prior.

        Args:
            shrinkage: ``[episode]``.

        Returns:
            ``[episode, item, way]`` in float64.
        """
        kept, items, means, growth = (1 - shrinkage).view(-1, 1, 1), self.items, self.means, self.growth
        moved = items - means.gather(1, self.labels.unsqueeze(-1).expand(-1, -1, means.shape[-1]))
        scatter = self.eigenvalues.sum(dim=1).view(-1, 1, 1) - growth * moved.square().sum(dim=-1, keepdim=True)
        none = scatter <= 1e-10
        shift = identity_share(scatter, shrinkage.view(-1, 1, 1), self.dim)
        kept = kept.where(~none, 0)
        inverse = 1 / (kept * self.eigenvalues.unsqueeze(1) + shift)
        square, product, squares = self.outside
        weighted, along = inverse * items, inverse * moved
        # Quadratic forms of the diagonal inverse: x with x, x with each mean, means with themselves, u with each.
        of_item = (weighted * items).sum(dim=-1, keepdim=True) + square / shift
        of_both = weighted @ means.mT + product / shift
        of_means = inverse @ means.square().mT + squares / shift
        own_item, own_mean = (along * items).sum(dim=-1, keepdim=True), along @ means.mT
        own = (along * moved).sum(dim=-1, keepdim=True)
        lost = kept * growth / (1 - kept * growth * own)
        whole = of_item + lost * own_item.square()
        distances = of_item - 2 * of_both + of_means + lost * (own_item - own_mean).square()
        distances = torch.where(self.own, growth.square() * (own + lost * own.square()), distances)
        return self.frequencies + self.total.where(~none, self.dim) / 2 * (whole - distances)
