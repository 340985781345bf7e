"""Closed-form least-squares fits, batched over episodes and exact in float64.

Sizes: E episodes, N items, d key width, v value width. All fits use Gram matrices: the primal ``G = K^T K [d, d]`` for
more items than dimensions, the dual ``K K^T [N, N]`` for fewer. Squared singular values lose half the digits, which is
harmless in float64: the cut-offs used here are far above 1e-8 of the largest singular value.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from bench.toolkit.gram_factors import pseudo_inverse_factors, whitening


def primal_weights(gram: Tensor, cross: Tensor, rtol: Tensor) -> Tensor:
    """Least-squares map ``W = V^T pinv(K)^T`` from sums over items (FAAST, arXiv 2605.04651).

    Args:
        gram: ``K^T K [E, d, d]`` float64.
        cross: ``K^T V [E, d, v]`` float64.
        rtol: ``[E]``, cut-off, see ``gram_factors.pseudo_inverse_factors``.

    Returns:
        ``W [E, v, d]`` in float64.
    """
    whiten = whitening(gram, rtol)
    return (whiten @ cross).mT @ whiten


def dual_weights(keys: Tensor, values: Tensor, rtol: Tensor) -> Tensor:
    """Least-squares map ``W = V^T pinv(K)^T`` of few items with narrow values.

    Args:
        keys: ``[E, N, d]`` float64. Padding items are rows of 0.
        values: ``[E, N, v]`` float64, v being smaller than d.
        rtol: ``[E]``, cut-off, see ``gram_factors.pseudo_inverse_factors``.

    Returns:
        ``W [E, v, d]`` in float64.
    """
    whiten = whitening(keys @ keys.mT, rtol)
    # Values first, so that every product has the narrow width v on one side.
    return ((whiten @ values).mT @ whiten) @ keys


def dual_factors(keys: Tensor, values: Tensor, rtol: Tensor) -> tuple[Tensor, Tensor]:
    """Factors of the least-squares map of few items, ``W = V^T pinv(K)^T = A^T B``.

    With R the whitening of ``K K^T``, A is ``R V`` and B is ``R K``. B has rows of length 1 and A is no larger than W,
    so that both may be rounded to float32. Rounding the obvious factors, ``pinv(K K^T) V`` and K, would multiply the
    error by the condition number of K.

    Args:
        keys: ``[E, N, d]`` float64. Padding items are rows of 0.
        values: ``[E, N, v]`` float64.
        rtol: ``[E]``, cut-off, see ``gram_factors.pseudo_inverse_factors``.

    Returns:
        ``A [E, r, v]`` and ``B [E, r, d]`` in float64; see ``gram_factors.whitening`` for r.
    """
    whiten = whitening(keys @ keys.mT, rtol)
    return whiten @ values, whiten @ keys


@dataclass(frozen=True)
class Spectrum:
    """Eigendecomposition of ``K^T K``, shared by any number of cut-offs and ridge strengths.

    Attributes:
        eigenvalues: ``[E, r]``, ascending, 0 where they are rounding noise; r is the smaller of d and N.
        basis: ``[E, r, d]``, their unit eigenvectors in rows, 0 for rounding noise.
    """

    eigenvalues: Tensor
    basis: Tensor

    @classmethod
    def of_gram(cls, gram: Tensor) -> Self:
        """The spectrum of a Gram matrix.

        Args:
            gram: ``K^T K [E, d, d]`` float64.

        Returns:
            Its eigendecomposition.
        """
        vectors, inverse = pseudo_inverse_factors(gram, gram.new_zeros(len(gram)))
        kept = inverse > 0
        return cls(inverse.where(kept, torch.inf).reciprocal(), vectors.mT * kept.unsqueeze(-1))

    @classmethod
    def of_rows(cls, rows: Tensor) -> Self:
        """The spectrum of ``rows^T rows`` for fewer rows than dimensions.

        Args:
            rows: ``[E, N, d]`` float64, N being less than d.

        Returns:
            Its eigendecomposition, from that of ``rows rows^T``.
        """
        vectors, inverse = pseudo_inverse_factors(rows @ rows.mT, rows.new_zeros(len(rows)))
        basis = (vectors * inverse.sqrt().unsqueeze(-2)).mT @ rows
        return cls(inverse.where(inverse > 0, torch.inf).reciprocal(), basis)

    def weights(self, cross: Tensor, rtol: Tensor) -> Tensor:
        """Least-squares maps ``W = V^T pinv(K)^T`` at several cut-offs, one small product for each.

        Args:
            cross: ``K^T V [E, d, v]`` float64.
            rtol: ``[S, E]``, S cut-offs per episode, see ``gram_factors.pseudo_inverse_factors``.

        Returns:
            ``W [S, E, v, d]`` in float64.
        """
        singular = self.eigenvalues.sqrt()
        kept = singular > torch.maximum(rtol.unsqueeze(-1) * singular[:, -1:], singular.new_zeros(()))
        inverse = kept / self.eigenvalues.where(self.eigenvalues > 0, torch.inf)
        return ((self.basis @ cross) * inverse.unsqueeze(-1)).mT @ self.basis


ROWS_AT_ONCE = 1024
"""Largest number of items per episode that are converted to float64 at a time."""


class KeySums:
    """Running sums ``K^T K`` and ``K^T V`` over key-value pairs, in float64 and in constant memory."""

    def __init__(self) -> None:
        self._lower: Tensor | None = None
        self._cross: Tensor | None = None

    def add(self, keys: Tensor, values: Tensor) -> None:
        """Add pairs to the sums.

        Args:
            keys: ``[E, N, d]``, padding being rows of 0.
            values: ``[E, N, v]``, padding being rows of 0.
        """
        n_episodes, _, dim = keys.shape
        if self._lower is None:
            self._lower = keys.new_zeros(n_episodes, dim, dim, dtype=torch.float64)
        if self._cross is None:
            self._cross = keys.new_zeros(n_episodes, dim, values.shape[2], dtype=torch.float64)
        for start in range(0, keys.shape[1], ROWS_AT_ONCE):
            part = keys[:, start : start + ROWS_AT_ONCE].double()
            add_gram(self._lower, part)
            self._cross.baddbmm_(part.mT, values[:, start : start + ROWS_AT_ONCE].double())

    def add_grouped(self, keys: Tensor, groups: Tensor, n_groups: int) -> None:
        """Add pairs whose values are one-hot: sums of keys by group, for which no product is computed.

        Args:
            keys: ``[E, N, d]``, padding being rows of 0.
            groups: ``[E, N]``, 0 to ``n_groups - 1``, anything for padding.
            n_groups: Width v of the values.
        """
        n_episodes, _, dim = keys.shape
        if self._lower is None:
            self._lower = keys.new_zeros(n_episodes, dim, dim, dtype=torch.float64)
        if self._cross is None:
            self._cross = keys.new_zeros(n_episodes, n_groups, dim, dtype=torch.float64).mT
        sums = self._cross.mT.view(-1, dim)
        first = n_groups * torch.arange(n_episodes, device=groups.device).unsqueeze(1)
        for start in range(0, keys.shape[1], ROWS_AT_ONCE):
            part = keys[:, start : start + ROWS_AT_ONCE].double()
            add_gram(self._lower, part)
            places = first + groups[:, start : start + ROWS_AT_ONCE]
            sums.index_add_(0, places.flatten(), part.reshape(-1, dim))

    def subtract(self, other: "KeySums") -> None:
        """Take pairs out of the sums, in place.

        Args:
            other: The sums of pairs that were added to these.
        """
        if other:
            self._lower = _required(self._lower) - _required(other._lower)
            self._cross = _required(self._cross) - _required(other._cross)

    def __bool__(self) -> bool:
        return self._lower is not None

    @property
    def gram(self) -> Tensor:
        """``K^T K [E, d, d]``.

        Raises:
            ValueError: If no pairs were added.
        """
        return mirrored(_required(self._lower))

    @property
    def cross(self) -> Tensor:
        """``K^T V [E, d, v]``.

        Raises:
            ValueError: If no pairs were added.
        """
        return _required(self._cross)


def _required(sums: Tensor | None) -> Tensor:
    if sums is None:
        raise ValueError("sums need a pair; no pairs were added, call add first")
    return sums


def add_gram(total: Tensor, rows: Tensor, blocks: int = 4) -> None:
    """Add ``rows^T rows`` to the lower triangle of a sum, in place; ``mirrored`` completes the matrix.

    Args:
        total: ``[E, d, d]``, the sum.
        rows: ``[E, N, d]``.
        blocks: Number of block columns; with 4, only 5/8 of a full product is computed.
    """
    width = -(-rows.shape[-1] // blocks)
    for start in range(0, rows.shape[-1], width):
        stop = start + width
        total[:, start:, start:stop].baddbmm_(rows[..., start:].mT, rows[..., start:stop])


def mirrored(lower: Tensor) -> Tensor:
    """A symmetric matrix from its lower triangle.

    Args:
        lower: ``[E, d, d]``; entries above the diagonal are ignored.

    Returns:
        ``[E, d, d]``.
    """
    return lower.tril() + lower.tril(-1).mT
