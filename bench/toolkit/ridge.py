"""Ridge regression ``W = (K^T K + lam I)^-1 K^T V``, batched over episodes and exact in float64.

Hoerl and Kennard 1970, Ridge Regression: Biased Estimation for Nonorthogonal Problems.
Names as in ``bench.toolkit.least_squares``: E episodes, d key width, v value width, r rank. One estimator with two
factorisations: an eigendecomposition serves any number of penalties, a Cholesky factor one penalty in a tenth of the
time.
"""

import torch
from torch import Tensor

from bench.toolkit.gram_factors import threads_for
from bench.toolkit.least_squares import Spectrum

LOST = torch.finfo(torch.float64).eps ** 0.5
"""Share of the norm of ``K^T K`` below which a penalty is lost in the rounding of a Cholesky factor."""


def penalties(mean_eigenvalue: Tensor, lam: float | None, strength: float | None) -> Tensor:
    """The penalty lam of each episode.

    Args:
        mean_eigenvalue: ``[E]``, ``trace(K^T K) / d``, in float64.
        lam: The penalty itself, or None.
        strength: The penalty as a share of the mean eigenvalue; used where ``lam`` is None.

    Returns:
        ``[E]``, above 0: keys of 0 alone, as of an empty episode, leave a matrix with a Cholesky factor.

    Raises:
        ValueError: If both are None.
    """
    if lam is not None:
        return torch.full_like(mean_eigenvalue, lam)
    if strength is None:
        raise ValueError("a ridge penalty needs lam or strength, got neither")
    return (strength * mean_eigenvalue).clamp(min=torch.finfo(torch.float32).tiny)


def ridge_of_spectrum(spectrum: Spectrum, cross: Tensor, lam: Tensor) -> Tensor:
    """The map from the eigendecomposition of ``K^T K``.

    Args:
        spectrum: Of ``K^T K``.
        cross: ``K^T V [E, d, v]`` in float64.
        lam: ``[E]``, or ``[S, E]`` for S penalties.

    Returns:
        ``[E, d, v]``, or ``[S, E, d, v]``.
    """
    return spectrum.basis.mT @ shrunk(spectrum, spectrum.basis @ cross, lam)


def shrunk(spectrum: Spectrum, projected: Tensor, lam: Tensor) -> Tensor:
    """The map's coordinates along the eigenvectors.

    Args:
        spectrum: Of ``K^T K``.
        projected: ``[E, r, v]``, ``K^T V`` along the eigenvectors.
        lam: ``[E]``, or ``[S, E]`` for S penalties.

    Returns:
        ``[E, r, v]``, or ``[S, E, r, v]``.
    """
    return projected / (spectrum.eigenvalues + lam.unsqueeze(-1)).unsqueeze(-1)


def ridge_of_gram(gram: Tensor, cross: Tensor, lam: Tensor) -> Tensor:
    """The map from a Cholesky factor of ``K^T K + lam I``, or from eigenvectors where the penalty is very small.

    Args:
        gram: ``K^T K [E, d, d]`` in float64.
        cross: ``K^T V [E, d, v]`` in float64.
        lam: ``[E]``, above 0.

    Returns:
        ``[E, d, v]``.
    """
    norm = torch.linalg.matrix_norm(gram)
    lost = lam < LOST * norm
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    before = diagonal.clone()
    # The matrix may be large, so that the penalty is added in it and taken out again.
    diagonal += torch.where(lost, norm, lam).unsqueeze(-1)
    with threads_for(gram.shape[-1]):
        found = torch.cholesky_solve(cross, torch.linalg.cholesky(gram))
    diagonal.copy_(before)
    if bool(lost.any()):
        found[lost] = ridge_of_spectrum(Spectrum.of_gram(gram[lost]), cross[lost], lam[lost])
    return found


def ridge_of_rows(keys: Tensor, values: Tensor, lam: Tensor) -> Tensor:
    """The map of fewer items than dimensions, ``K^T (K K^T + lam I)^-1 V``.

    Args:
        keys: ``[E, N, d]`` in float64. Padding items are rows of 0.
        values: ``[E, N, v]`` in float64, 0 for padding.
        lam: ``[E]``, above 0.

    Returns:
        ``[E, d, v]``.
    """
    # Transposed, so that the longest side of the product is read in the order in which it lies in memory.
    return (ridge_of_gram(keys @ keys.mT, values, lam).mT @ keys).mT
