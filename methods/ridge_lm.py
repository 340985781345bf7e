"""Ridge regression inside a language model, from hidden states to what followed them in the support text."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from bench.contracts import Memory, Tune
from bench.toolkit.least_squares import KeySums
from methods._inside import HiddenStateConfig, HiddenStateMemory
from methods._pairs import without_padding


class RidgeLmConfig(HiddenStateConfig):
    """Hyper-parameters of ridge regression inside a language model."""

    strength: Annotated[float, Tune(1e-6, 1e2, log=True)] = Field(
        default=1e-2,
        gt=0,
        le=1e6,
        description="The penalty, as a share of the mean eigenvalue of K^T K, whose size differs from model to model.",
    )


class RidgeMemory(Memory):
    """``W = V^T K (K^T K + lam I)^-1`` with ``lam = strength * trace(K^T K) / d``, solved in float64.

    It sums over pairs and keeps none; an episode without pairs answers 0.
    """

    def __init__(self, n_episodes: int, key_dim: int, value_dim: int, strength: float) -> None:
        super().__init__()
        self.strength = strength
        self._sums = KeySums()
        self.register_buffer("weights", torch.zeros(n_episodes, value_dim, key_dim))

    weights: Tensor
    """``[episode, dim_v, dim_k]``."""

    def observe(self, keys: Tensor, values: Tensor, mask: Tensor) -> None:
        """Add the batch to the sums, leaving padding out."""
        self._sums.add(without_padding(keys, mask), without_padding(values, mask))

    def solve(self) -> None:
        """Fit all pairs and forget the sums."""
        if not self._sums:
            return
        gram = self._sums.gram
        diagonal = gram.diagonal(dim1=-2, dim2=-1)
        # Kept above 0 so that keys of 0 alone, as of an empty episode, leave a matrix that can be factorised.
        lam = (self.strength * diagonal.mean(dim=-1, keepdim=True)).clamp(min=torch.finfo(torch.float32).tiny)
        diagonal += lam
        factor = torch.linalg.cholesky(gram)
        self.weights = torch.cholesky_solve(self._sums.cross, factor).mT.float()
        self._sums = KeySums()

    def read(self, keys: Tensor) -> Tensor:
        """``W x`` for each of ``keys [episode, item, dim_k]``."""
        return keys @ self.weights.mT


class RidgeLm(HiddenStateMemory):
    """Ridge regression for every memory; see HiddenStateMemory for what it learns and where it stands.

    FAAST drops the directions of key space that the support text hardly has; ridge shrinks them.
    """

    Config = RidgeLmConfig
    config: RidgeLmConfig
    source = "Hoerl and Kennard 1970, Ridge Regression: Biased Estimation for Nonorthogonal Problems"

    def make_memory(self, width: int) -> Memory:
        """Empty sums."""
        return RidgeMemory(1, width, width, self.config.strength)


PLUGIN = RidgeLm
