"""Closed-form fits, batched over episodes and exact in float64.

Names: E episodes, N items, d key width, v value width. All work on Gram matrices: the primal
``G = K^T K [d, d]`` where there are more items than dimensions, the dual ``K K^T [N, N]`` where
there are fewer. Squaring the singular values costs half the digits, which float64 has to spare: the
cut-offs used here stand far above 1e-8 of the largest singular value.
"""

import torch
from torch import Tensor


def pseudo_inverse_factors(gram: Tensor, rtol: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvectors of a Gram matrix and the inverse of its eigenvalues, cut off at small singular values.

    gram: ``[E, n, n]`` float64, symmetric. rtol: ``[E]``, fraction of the largest *singular value*
    below which a direction is dropped (as in ``torch.linalg.pinv(keys, atol=0, rtol=rtol)``).
    Returns eigenvectors ``[E, n, n]`` in columns and inverse eigenvalues ``[E, n]``, 0 where dropped.
    """
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


def primal_weights(gram: Tensor, cross: Tensor, rtol: Tensor) -> Tensor:
    """Least-squares map ``W = V^T pinv(K)^T`` from sums over items (FAAST, arXiv 2605.04651).

    gram: ``G = K^T K [E, d, d]``; cross: ``C = K^T V [E, d, v]``; rtol: ``[E]``, see pseudo_inverse_factors.
    Returns ``[E, v, d]`` in float64.
    """
    vectors, inverse = pseudo_inverse_factors(gram, rtol)
    return cross.mT @ (vectors * inverse.unsqueeze(-2)) @ vectors.mT


def dual_weights(keys: Tensor, values: Tensor, rtol: Tensor) -> Tensor:
    """The same map ``W [E, v, d]`` in float64 where items are few and values are narrow; see dual_factors."""
    vectors, inverse = pseudo_inverse_factors(keys @ keys.mT, rtol)
    # Narrow values first: no product is wider than they are.
    return ((vectors * inverse.unsqueeze(-2)) @ (vectors.mT @ values)).mT @ keys


def dual_factors(keys: Tensor, values: Tensor, rtol: Tensor) -> tuple[Tensor, Tensor]:
    """The same map as a product ``W = A^T B`` where items are few.

    keys: ``[E, N, d]`` float64; values: ``[E, N, v]`` float64; rtol: ``[E]``. Padding items are rows of 0.
    Returns ``A [E, r, v]`` and ``B [E, r, d]`` in float64; r is the largest number of directions that an
    episode keeps, and the surplus rows of other episodes are 0.

    With ``K = U S B`` the factor A is ``pinv(S) U^T V``: B has rows of length 1 and A is no larger than
    W, so that both may be rounded to float32. ``pinv(K K^T) V`` and K, the obvious pair, would lose
    the condition number of K on the way.
    """
    vectors, inverse = pseudo_inverse_factors(keys @ keys.mT, rtol)
    # Eigenvalues ascend, so the directions that are kept come last.
    first = inverse.shape[-1] - int((inverse > 0).sum(dim=-1).amax())
    whiten = (vectors * inverse.sqrt().unsqueeze(-2))[..., first:].mT
    return whiten @ values, whiten @ keys


def spectrum_of_gram(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues ``[E, d]`` and eigenvectors ``[E, d, d]``, in rows, of a Gram matrix ``[E, d, d]`` in float64.

    Eigenvalues that are rounding noise, and their eigenvectors, come as 0.
    """
    vectors, inverse = pseudo_inverse_factors(gram, gram.new_zeros(len(gram)))
    kept = inverse > 0
    return inverse.where(kept, torch.inf).reciprocal(), vectors.mT * kept.unsqueeze(-1)


def spectrum_of_rows(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The same of ``rows^T rows`` for ``rows [E, N, d]`` where N is less than d: ``[E, N]`` and ``[E, N, d]``."""
    vectors, inverse = pseudo_inverse_factors(rows @ rows.mT, rows.new_zeros(len(rows)))
    basis = (vectors * inverse.sqrt().unsqueeze(-2)).mT @ rows
    return inverse.where(inverse > 0, torch.inf).reciprocal(), basis


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
