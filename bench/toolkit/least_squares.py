"""Closed-form fits, batched over episodes and exact in float64.

Names: E episodes, N items, d key width, v value width. All work on Gram matrices: the primal
``G = K^T K [d, d]`` where there are more items than dimensions, the dual ``K K^T [N, N]`` where
there are fewer. Squaring the singular values costs half the digits, which float64 has to spare: the
cut-offs used here stand far above 1e-8 of the largest singular value.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

SMALL = 256
"""Matrices up to this size are factorised faster by one thread: more wait for each other longer than they work."""


@contextmanager
def _threads_for(size: int) -> Iterator[None]:
    """One thread while many small matrices are factorised one after the other, as LAPACK does with a batch."""
    before = torch.get_num_threads()
    if size > SMALL or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def pseudo_inverse_factors(gram: Tensor, rtol: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvectors of a Gram matrix and the inverse of its eigenvalues, cut off at small singular values.

    gram: ``[E, n, n]`` float64, symmetric. rtol: ``[E]``, fraction of the largest *singular value*
    below which a direction is dropped (as in ``torch.linalg.pinv(keys, atol=0, rtol=rtol)``).
    Returns eigenvectors ``[E, n, n]`` in columns and inverse eigenvalues ``[E, n]``, 0 where dropped.
    """
    with _threads_for(gram.shape[-1]):
        eigenvalues, eigenvectors = torch.linalg.eigh(gram)
    singular = eigenvalues.clamp(min=0).sqrt()
    cut = rtol.to(singular)[:, None] * singular[:, -1:]
    # Rounding leaves noise of about eps * largest eigenvalue where a true one is 0, so that sqrt(eps)
    # is the least singular value that a Gram matrix can tell from 0.
    noise = torch.finfo(gram.dtype).eps ** 0.5 * gram.shape[-1] ** 0.5 * singular[:, -1:]
    kept = singular > torch.maximum(cut, noise)
    # An empty episode has no singular value above 0 and keeps nothing: its map is 0.
    inverse = torch.where(kept, eigenvalues, torch.inf).reciprocal()
    return eigenvectors, inverse


def whitening(gram: Tensor, rtol: Tensor) -> Tensor:
    """``R [E, r, n]`` with ``R^T R = pinv(gram)``, directions cut off at ``rtol [E]``, see pseudo_inverse_factors.

    gram: ``[E, n, n]`` float64, symmetric. r is the largest number of directions that an episode keeps, and the
    surplus rows of other episodes are 0.

    An eigendecomposition is needed only where a direction is to be dropped. Elsewhere R is the inverse of the
    Cholesky factor, at a tenth of the time, and that nothing is dropped is proven by one of two bounds: the least
    eigenvalue is at least ``1 / |R|^2``, or ``gram`` less the cut-off still has a Cholesky factor. (Both norms are
    Frobenius norms; that of ``gram`` is no less than its largest eigenvalue.)
    """
    size = gram.shape[-1]
    least = torch.finfo(gram.dtype).eps * size  # below this share an eigenvalue cannot be told from 0
    cut = rtol.to(gram).square().clamp(min=least) * torch.linalg.matrix_norm(gram)
    identity = torch.eye(size, dtype=gram.dtype, device=gram.device)
    with _threads_for(size):
        factors, failed = torch.linalg.cholesky_ex(gram)
        whiten: Tensor = torch.linalg.solve_triangular(factors, identity.expand_as(gram), upper=False)
        whole = (failed == 0) & (cut * whiten.square().sum(dim=(-2, -1)) < 1)
        doubtful = (~whole).nonzero().squeeze(1)
        if len(doubtful):
            lowered = gram[doubtful] - cut[doubtful].view(-1, 1, 1) * identity
            whole[doubtful] = (torch.linalg.cholesky_ex(lowered).info == 0) & (cut[doubtful] > 0)
    if whole.all():
        return whiten
    vectors, inverse = pseudo_inverse_factors(gram[~whole], rtol[~whole])
    whiten[~whole] = (vectors * inverse.sqrt().unsqueeze(-2)).mT
    # Eigenvalues ascend, so the directions that are kept come last.
    first = 0 if whole.any() else size - int((inverse > 0).sum(dim=-1).amax())
    return whiten[:, first:]


def primal_weights(gram: Tensor, cross: Tensor, rtol: Tensor) -> Tensor:
    """Least-squares map ``W = V^T pinv(K)^T`` from sums over items (FAAST, arXiv 2605.04651).

    gram: ``G = K^T K [E, d, d]``; cross: ``C = K^T V [E, d, v]``; rtol: ``[E]``, see pseudo_inverse_factors.
    Returns ``[E, v, d]`` in float64.
    """
    whiten = whitening(gram, rtol)
    return (whiten @ cross).mT @ whiten


def dual_weights(keys: Tensor, values: Tensor, rtol: Tensor) -> Tensor:
    """The same map ``W [E, v, d]`` in float64 where items are few and values are narrow; see dual_factors."""
    whiten = whitening(keys @ keys.mT, rtol)
    # Narrow values first: no product is wider than they are.
    return ((whiten @ values).mT @ whiten) @ keys


def dual_factors(keys: Tensor, values: Tensor, rtol: Tensor) -> tuple[Tensor, Tensor]:
    """The same map as a product ``W = A^T B`` where items are few.

    keys: ``[E, N, d]`` float64; values: ``[E, N, v]`` float64; rtol: ``[E]``. Padding items are rows of 0.
    Returns ``A [E, r, v]`` and ``B [E, r, d]`` in float64; see whitening for r.

    With R the whitening of ``K K^T``, A is ``R V`` and B is ``R K``: B has rows of length 1 and A is no larger
    than W, so that both may be rounded to float32. ``pinv(K K^T) V`` and K, the obvious pair, would lose
    the condition number of K on the way.
    """
    whiten = whitening(keys @ keys.mT, rtol)
    return whiten @ values, whiten @ keys


@dataclass(frozen=True)
class Spectrum:
    """What one eigendecomposition tells of ``K^T K``; it serves any number of cut-offs and ridge strengths.

    eigenvalues: ``[E, r]``, ascending, 0 where they are rounding noise. basis: ``[E, r, d]``, their unit
    eigenvectors in rows, 0 likewise. r is the smaller of d and the number of items.
    """

    eigenvalues: Tensor
    basis: Tensor

    @classmethod
    def of_gram(cls, gram: Tensor) -> Self:
        """Of a Gram matrix ``[E, d, d]`` in float64."""
        vectors, inverse = pseudo_inverse_factors(gram, gram.new_zeros(len(gram)))
        kept = inverse > 0
        return cls(inverse.where(kept, torch.inf).reciprocal(), vectors.mT * kept.unsqueeze(-1))

    @classmethod
    def of_rows(cls, rows: Tensor) -> Self:
        """Of ``rows^T rows`` for ``rows [E, N, d]`` in float64, N being less than d."""
        vectors, inverse = pseudo_inverse_factors(rows @ rows.mT, rows.new_zeros(len(rows)))
        basis = (vectors * inverse.sqrt().unsqueeze(-2)).mT @ rows
        return cls(inverse.where(inverse > 0, torch.inf).reciprocal(), basis)

    def weights(self, cross: Tensor, rtol: Tensor) -> Tensor:
        """FAAST's map ``W`` for many cut-offs, one small product each.

        cross: ``K^T V [E, d, v]``; rtol: ``[S, E]``, S settings. Returns ``[S, E, v, d]`` in float64.
        """
        singular = self.eigenvalues.sqrt()
        kept = singular > torch.maximum(rtol.unsqueeze(-1) * singular[:, -1:], singular.new_zeros(()))
        inverse = kept / self.eigenvalues.where(self.eigenvalues > 0, torch.inf)
        return ((self.basis @ cross) * inverse.unsqueeze(-1)).mT @ self.basis


ROWS_AT_ONCE = 1024


class KeySums:
    """``K^T K`` and ``K^T V`` of pairs that stream by, in float64; the memory does not grow with the pairs."""

    def __init__(self) -> None:
        self._lower: Tensor | None = None
        self._cross: Tensor | None = None

    def add(self, keys: Tensor, values: Tensor) -> None:
        """Take in ``keys [E, N, d]`` and ``values [E, N, v]``, padding being rows of 0."""
        if self._lower is None or self._cross is None:
            n_episodes, _, dim = keys.shape
            self._lower = keys.new_zeros(n_episodes, dim, dim, dtype=torch.float64)
            self._cross = keys.new_zeros(n_episodes, dim, values.shape[2], dtype=torch.float64)
        for start in range(0, keys.shape[1], ROWS_AT_ONCE):
            # Only this many rows exist in float64 at a time.
            some = keys[:, start : start + ROWS_AT_ONCE].double()
            add_gram(self._lower, some)
            self._cross.baddbmm_(some.mT, values[:, start : start + ROWS_AT_ONCE].double())

    def __bool__(self) -> bool:
        return self._lower is not None

    @property
    def gram(self) -> Tensor:
        """``K^T K [E, d, d]``. Raises ValueError before the first pair."""
        return mirrored(_given(self._lower))

    @property
    def cross(self) -> Tensor:
        """``K^T V [E, d, v]``. Raises ValueError before the first pair."""
        return _given(self._cross)


def _given(sums: Tensor | None) -> Tensor:
    if sums is None:
        raise ValueError("no pairs were added")
    return sums


def add_gram(total: Tensor, rows: Tensor, blocks: int = 4) -> None:
    """Add ``rows^T rows`` to the lower triangle of ``total [E, d, d]``, in place; ``mirrored`` completes it.

    rows: ``[E, N, d]``. In ``blocks`` block columns, so that only 5/8 of a full product is computed.
    """
    width = -(-rows.shape[-1] // blocks)
    for start in range(0, rows.shape[-1], width):
        stop = start + width
        total[:, start:, start:stop].baddbmm_(rows[..., start:].mT, rows[..., start:stop])


def mirrored(lower: Tensor) -> Tensor:
    """A symmetric matrix ``[E, d, d]`` from one whose lower triangle alone is right."""
    return lower.tril() + lower.tril(-1).mT
