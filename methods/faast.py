"""FAAST: all pairs compiled in closed form into one matrix of fast weights, mixed with the prior."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from bench.closed_form import KeySums, dual_factors, dual_weights, primal_weights
from bench.contracts import AssociativeConfig, AssociativeMethod, Memory
from methods._pairs import joined, without_padding

Solver = Literal["exact", "pinv"]


class FaastConfig(AssociativeConfig):
    """Hyper-parameters of FAAST."""

    alpha: float = Field(
        default=0.8,
        ge=0,
        le=4,
        description="Drops directions whose singular value is below N ** -alpha of the largest; N counts examples.",
    )
    solver: Solver = Field(
        default="exact",
        description="exact: Gram matrices in float64. pinv: the published float32 pseudo-inverse of all keys.",
    )


class FastWeights(Memory):
    """The least-squares map ``W = V^T pinv(K)^T [dim_v, dim_k]`` of each episode (arXiv 2605.04651).

    n_items: pairs an episode will give at most. It decides how the exact solver works: from
    ``dim_k`` on, it sums ``K^T K`` and ``K^T V`` batch by batch and keeps no pair; below, it keeps
    the pairs, which are then fewer numbers than the sums. The solver ``pinv`` always keeps them.

    After ``solve`` the state is float32, in the smaller of two exact forms: W itself, or a product of
    two factors of it. An episode without pairs answers 0.
    """

    def __init__(
        self,
        n_episodes: int,
        key_dim: int,
        value_dim: int,
        *,
        n_items: int,
        alpha: float = 0.8,
        solver: Solver = "exact",
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.solver = solver
        self.streams = solver == "exact" and n_items >= key_dim
        # What observe gathers is neither state nor to be cast with it, hence no buffers.
        self._count: Tensor | None = None
        self._sums = KeySums()
        self._pairs: list[tuple[Tensor, Tensor]] = []
        self.register_buffer("weights", torch.zeros(n_episodes, value_dim, 0))
        self.register_buffer("basis", torch.zeros(n_episodes, 0, key_dim))

    weights: Tensor
    """``[episode, dim_v, rank]``, or all of W, ``[episode, dim_v, dim_k]``, where there is no basis."""
    basis: Tensor | None
    """``[episode, rank, dim_k]``: the directions of key space that ``weights`` maps."""

    def observe(self, keys: Tensor, values: Tensor, mask: Tensor) -> None:
        """Add the batch to the sums, or keep it, leaving padding out."""
        keys, values = without_padding(keys, mask), without_padding(values, mask)
        count = mask.sum(dim=1)
        self._count = count if self._count is None else self._count + count
        if not self.streams:
            self._pairs.append((keys, values))
            return
        self._sums.add(keys, values)

    def solve(self) -> None:
        """Compile what was observed and forget it."""
        if self._count is None:
            return
        # Of an empty episode all singular values are 0 and below any cut-off; N = 1 keeps the cut-off finite.
        rtol = self._count.clamp(min=1).double() ** -self.alpha
        basis: Tensor | None = None
        if self._sums:
            weights = primal_weights(self._sums.gram, self._sums.cross, rtol)
        else:
            keys, values = (joined(parts) for parts in zip(*self._pairs, strict=True))
            if self.solver == "pinv":
                weights = _published_weights(keys, values, rtol)
            else:
                weights, basis = _smaller_form(keys, values, rtol)
        self.weights = weights.float()
        self.basis = None if basis is None else basis.float()
        self._count, self._sums = None, KeySums()
        self._pairs.clear()

    def read(self, keys: Tensor) -> Tensor:
        """``W x`` for each of ``keys [episode, item, dim_k]``; its cost does not depend on the number of pairs."""
        projected = keys if self.basis is None else keys @ self.basis.mT
        return projected @ self.weights.mT


def _published_weights(keys: Tensor, values: Tensor, rtol: Tensor) -> Tensor:
    """``W [E, dim_v, dim_k]`` by the published route: one float32 pseudo-inverse of the keys ``[E, N, dim_k]``."""
    rtol = rtol.to(keys.dtype)
    inverse: Tensor = torch.linalg.pinv(keys, atol=torch.zeros_like(rtol), rtol=rtol)
    return values.mT @ inverse.mT


def _smaller_form(keys: Tensor, values: Tensor, rtol: Tensor) -> tuple[Tensor, Tensor | None]:
    """W itself, or two factors of it where these can be fewer numbers; see dual_weights for the shapes."""
    n_items, dim, width = keys.shape[1], keys.shape[2], values.shape[2]
    if width * dim <= n_items * (width + dim):
        return dual_weights(keys.double(), values.double(), rtol), None
    coefficients, basis = dual_factors(keys.double(), values.double(), rtol)
    return coefficients.mT.contiguous(), basis


class Faast(AssociativeMethod):
    """Forward-only associative learning: one closed-form solve, and queries at a cost independent of N."""

    linear_in_values = True
    Config = FaastConfig
    config: FaastConfig
    source = "Bao et al., FAAST: Forward-Only Associative Learning via Closed-Form Fast Weights, arXiv 2605.04651"

    def make_memory(self) -> FastWeights:
        """Empty fast weights for the setting's shapes."""
        setting, config = self.setting, self.config
        return FastWeights(
            setting.n_episodes,
            setting.key_dim,
            self.memory_dim,
            n_items=setting.n_support,
            alpha=config.alpha,
            solver=config.solver,
        )


PLUGIN = Faast
