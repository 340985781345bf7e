"""What linear maps answer for an item of their own support set when they are fitted to the others, in closed form.

Names as in ``bench.toolkit.least_squares``: E episodes, N items, d key width, v value width; M of the items are left out, one
at a time. One eigendecomposition and a few products are shared by all cut-offs and all ridge strengths.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from bench.toolkit.least_squares import Spectrum

ALONE = 1e-8
"""Least share of its length that an item's key must have in common with the others, beyond rounding."""


@dataclass(frozen=True)
class LeftOut:
    """Answers for items of a support set, each by the map of the other items (Allen 1974, PRESS; Greville 1960).

    eigenvalues: ``[E, r]`` of ``K^T K``. coordinates: ``[E, M, r]``, keys of the items to leave out along its
    eigenvectors. projected: ``[E, r, v]``, ``K^T V`` along them. values: ``[E, M, v]`` of the items to leave out.
    """

    eigenvalues: Tensor
    coordinates: Tensor
    projected: Tensor
    values: Tensor

    @classmethod
    def of(cls, spectrum: Spectrum, cross: Tensor, keys: Tensor, values: Tensor) -> Self:
        """Of items that are among those of the spectrum and of ``cross = K^T V [E, d, v]``; all in float64."""
        return cls(spectrum.eigenvalues, keys @ spectrum.basis.mT, spectrum.basis @ cross, values)

    def cut_off(self, rtol: Tensor) -> Tensor:
        """``[E, M, v]``, answers of FAAST's map ``V^T pinv(K)^T`` of the others, cut off at ``rtol [E]``.

        What is exact: the directions that are kept are those of *all* N keys, for which no label is needed, and the
        map of the others is their least-squares map of least norm within these directions. Cutting the others' own
        spectrum anew may keep other directions; where nothing is cut off the two are the same.

        With ``H = Z pinv(Z)`` of the keys Z along the kept directions, an item's answer is
        ``(fitted - H_ii v_i) / (1 - H_ii)``. Where its key is independent of the others' ``H_ii`` is 1, and the answer
        is ``v_i - (C V)_i / C_ii`` with ``C = pinv(Z)^T pinv(Z)``.
        """
        singular = self.eigenvalues.sqrt()
        kept = singular > torch.maximum(rtol.unsqueeze(-1) * singular[:, -1:], singular.new_zeros(()))
        inverse = (kept / self.eigenvalues.where(kept, torch.inf)).unsqueeze(-2)
        scaled = self.coordinates * inverse
        fitted, leverage = scaled @ self.projected, (scaled * self.coordinates).sum(dim=-1, keepdim=True)
        rest = 1 - leverage
        alone = rest < ALONE
        answers = (fitted - leverage * self.values) / rest.where(~alone, 1)
        if not alone.any():
            return answers
        twice = scaled * inverse
        weight = (twice * self.coordinates).sum(dim=-1, keepdim=True)
        return torch.where(alone, self.values - (twice @ self.projected) / weight.where(alone, 1), answers)

    def ridge(self, strength: Tensor) -> Tensor:
        """``[E, M, v]``, answers of ``(K^T K + strength I)^-1 K^T V`` of the others; strength ``[E]``, above 0.

        Exact whatever the strength. Residuals are summed from what ridge takes away of each direction, which stays
        precise where the map nearly interpolates and ``1 - H_ii`` would be a difference of like numbers.
        """
        values = self.eigenvalues.where(self.eigenvalues > 0, torch.inf)
        # Rows of an orthonormal basis of the column space of K, and what an item's value has along it.
        along = self.coordinates / values.sqrt().unsqueeze(-2)
        parts = self.projected / values.sqrt().unsqueeze(-1)
        taken = strength.unsqueeze(-1) / (self.eigenvalues + strength.unsqueeze(-1))
        outside = 1 - along.square().sum(dim=-1, keepdim=True)
        inside = outside < ALONE
        rest = outside.masked_fill(inside, 0) + (along.square() * taken.unsqueeze(-2)).sum(dim=-1, keepdim=True)
        beyond = (self.values - along @ parts).masked_fill(inside, 0)
        residual = beyond + (along * taken.unsqueeze(-2)) @ parts
        return self.values - residual / rest
