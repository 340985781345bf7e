"""Factorisations of Gram matrices, batched over episodes: eigenvectors and whitening, with small directions cut off.

Sizes: E episodes, n rows and columns. Everything is in float64.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

SMALL = 256
"""Largest size of matrices that one thread factorises faster than several, which mostly wait for each other."""


@contextmanager
def threads_for(size: int) -> Iterator[None]:
    """Context with one thread for small matrices, since LAPACK factorises the matrices of a batch one by one.

    Args:
        size: Rows of a matrix.

    Yields:
        Nothing; the number of threads is what it was at the end.
    """
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
    """Eigenvectors and inverse eigenvalues of Gram matrices, with small singular values cut off.

    Args:
        gram: ``[E, n, n]`` float64, symmetric.
        rtol: ``[E]``, fraction of the largest *singular value* below which a direction is dropped, as in
            ``torch.linalg.pinv(keys, atol=0, rtol=rtol)``.

    Returns:
        Eigenvectors ``[E, n, n]`` in columns, and inverse eigenvalues ``[E, n]``, 0 where dropped.
    """
    with threads_for(gram.shape[-1]):
        eigenvalues, eigenvectors = torch.linalg.eigh(gram)
    singular = eigenvalues.clamp(min=0).sqrt()
    cut = rtol.to(singular)[:, None] * singular[:, -1:]
    # Rounding turns a zero eigenvalue into noise of about eps times the largest one, so that singular values below
    # sqrt(eps) of the largest cannot be distinguished from 0.
    noise = torch.finfo(gram.dtype).eps ** 0.5 * gram.shape[-1] ** 0.5 * singular[:, -1:]
    kept = singular > torch.maximum(cut, noise)
    # An empty episode has no singular value above 0 and keeps no direction: its map is 0.
    inverse = torch.where(kept, eigenvalues, torch.inf).reciprocal()
    return eigenvectors, inverse


def whitening(gram: Tensor, rtol: Tensor) -> Tensor:
    """Whitening matrices R of Gram matrices, with ``R^T R = pinv(gram)``.

    An eigendecomposition is computed only where a direction is dropped. Otherwise R is the inverse of the Cholesky
    factor, which takes a tenth of the time. One of two bounds proves that no direction is dropped: the smallest
    eigenvalue is at least ``1 / |R|^2``, or ``gram`` minus the cut-off still has a Cholesky factor. (Both norms are
    Frobenius norms; that of ``gram`` is at least its largest eigenvalue.)

    Args:
        gram: ``[E, n, n]`` float64, symmetric.
        rtol: ``[E]``, cut-off, see pseudo_inverse_factors.

    Returns:
        ``R [E, r, n]``, where r is the largest number of directions that an episode keeps. Surplus rows of other
        episodes are 0.
    """
    size = gram.shape[-1]
    least = torch.finfo(gram.dtype).eps * size  # smaller shares of the largest eigenvalue are noise
    cut = rtol.to(gram).square().clamp(min=least) * torch.linalg.matrix_norm(gram)
    identity = torch.eye(size, dtype=gram.dtype, device=gram.device)
    with threads_for(size):
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
    # Eigenvalues are in ascending order, so that kept directions come last.
    first = 0 if whole.any() else size - int((inverse > 0).sum(dim=-1).amax())
    return whiten[:, first:]


def largest_eigenvalue(gram: Tensor) -> Tensor:
    """Largest eigenvalue of Gram matrices, in a third of the time of their eigenvectors.

    Args:
        gram: ``[E, n, n]`` float64, symmetric.

    Returns:
        ``[E]``, 0 or more.
    """
    with threads_for(gram.shape[-1]):
        eigenvalues: Tensor = torch.linalg.eigvalsh(gram)
    return eigenvalues[:, -1].clamp(min=0)
