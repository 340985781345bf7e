"""Closed-form leave-one-out predictions of linear maps: each support item, predicted by a map fitted to all others.

Sizes as in ``bench.toolkit.least_squares``: E episodes, N items, d key width, v value width; M of the items are
predicted, each left out of its own fit. All cut-offs and ridge strengths share one eigendecomposition and a few
products.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from bench.toolkit.least_squares import Spectrum

INDEPENDENT = 1e-8
"""Value of ``1 - H_ii`` below which a key counts as linearly independent of the others."""


@dataclass(frozen=True)
class LeftOut:
    """Leave-one-out predictions of the items of a support set (Allen 1974, PRESS; Greville 1960).

    Attributes:
        eigenvalues: ``[E, r]`` of ``K^T K``.
        coordinates: ``[E, M, r]``, keys of the M items in the basis of its eigenvectors.
        projected: ``[E, r, v]``, ``K^T V`` in that basis.
        values: ``[E, M, v]`` of the M items.
    """

    eigenvalues: Tensor
    coordinates: Tensor
    projected: Tensor
    values: Tensor

    @classmethod
    def of(cls, spectrum: Spectrum, cross: Tensor, keys: Tensor, values: Tensor) -> Self:
        """Prepare the predictions for items of a support set.

        Args:
            spectrum: Spectrum of the keys of the whole support set.
            cross: ``K^T V [E, d, v]`` float64 of the whole support set.
            keys: ``[E, M, d]`` float64, keys of the items to predict, which belong to the support set.
            values: ``[E, M, v]`` float64, their values.

        Returns:
            The predictions, for any cut-off or ridge strength.
        """
        return cls(spectrum.eigenvalues, keys @ spectrum.basis.mT, spectrum.basis @ cross, values)

    def cut_off(self, rtol: Tensor) -> Tensor:
        """Predictions of FAAST's map ``V^T pinv(K)^T``, fitted for each item to all others.

        Exactness: the kept directions are those of *all* N keys, which needs no label, and the map is the minimum-norm
        least-squares map of the other items within these directions. A cut-off of the other items' own spectrum may
        keep different directions; without a cut-off both are the same.

        With ``H = Z pinv(Z)`` for the keys Z in the kept directions, the prediction of item i is
        ``(fitted_i - H_ii v_i) / (1 - H_ii)``. If its key is linearly independent of the others, ``H_ii`` is 1 and the
        prediction is ``v_i - (C V)_i / C_ii`` with ``C = pinv(Z)^T pinv(Z)``.

        Args:
            rtol: ``[E]``, cut-off as a fraction of the largest singular value.

        Returns:
            ``[E, M, v]`` in float64.
        """
        singular = self.eigenvalues.sqrt()
        kept = singular > torch.maximum(rtol.unsqueeze(-1) * singular[:, -1:], singular.new_zeros(()))
        inverse = (kept / self.eigenvalues.where(kept, torch.inf)).unsqueeze(-2)
        scaled = self.coordinates * inverse
        fitted, leverage = scaled @ self.projected, (scaled * self.coordinates).sum(dim=-1, keepdim=True)
        rest = 1 - leverage
        independent = rest < INDEPENDENT
        answers = (fitted - leverage * self.values) / rest.where(~independent, 1)
        if not independent.any():
            return answers
        twice = scaled * inverse
        weight = (twice * self.coordinates).sum(dim=-1, keepdim=True)
        return torch.where(independent, self.values - (twice @ self.projected) / weight.where(independent, 1), answers)

    def ridge(self, strength: Tensor) -> Tensor:
        """Predictions of the ridge map ``(K^T K + strength I)^-1 K^T V``, fitted for each item to all others.

        Exact for every strength. Residuals are summed from the shrinkage of each direction, which stays precise where
        the map nearly interpolates and ``1 - H_ii`` would suffer from cancellation.

        Args:
            strength: ``[E]``, above 0.

        Returns:
            ``[E, M, v]`` in float64.
        """
        values = self.eigenvalues.where(self.eigenvalues > 0, torch.inf)
        # Rows of an orthonormal basis of the column space of K, and the values' coordinates in it.
        along = self.coordinates / values.sqrt().unsqueeze(-2)
        parts = self.projected / values.sqrt().unsqueeze(-1)
        shrinkage = strength.unsqueeze(-1) / (self.eigenvalues + strength.unsqueeze(-1))
        outside = 1 - along.square().sum(dim=-1, keepdim=True)
        inside = outside < INDEPENDENT
        rest = outside.masked_fill(inside, 0) + (along.square() * shrinkage.unsqueeze(-2)).sum(dim=-1, keepdim=True)
        beyond = (self.values - along @ parts).masked_fill(inside, 0)
        residual = beyond + (along * shrinkage.unsqueeze(-2)) @ parts
        return self.values - residual / rest
