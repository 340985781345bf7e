"""FAAST's memories: the least-squares map of all pairs, solved at once or averaged over chunks (arXiv 2605.04651)."""

from typing import Literal

import torch
from torch import Tensor

from bench.contracts import Memory
from bench.toolkit.least_squares import KeySums, Spectrum, dual_factors, dual_weights, primal_weights
from methods._pairs import joined, without_padding

Solver = Literal["exact", "pinv"]
ALPHA = 0.8
"""The published exponent on features."""


class FastWeights(Memory):
    """The least-squares map ``W = V^T pinv(K)^T [dim_v, dim_k]`` of each episode (arXiv 2605.04651).

    n_items: pairs an episode will give at most. It decides how the exact solver works: from
    ``dim_k`` on, it sums ``K^T K`` and ``K^T V`` batch by batch and keeps no pair; below, it keeps
    the pairs, which are then fewer numbers than the sums. The solver ``pinv`` always keeps them.

    alpha: one for all episodes, or ``[episode]``; it may be set until ``solve``.

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
        alpha: float | Tensor = ALPHA,
        solver: Solver = "exact",
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.solver = solver
        self.streams = solver == "exact" and n_items >= key_dim
        # What observe gathers is neither state nor to be cast with it, hence no buffers.
        self._count: Tensor | None = None
        self._sums = KeySums()
        self._class_values: Tensor | None = None
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

    def observe_labels(self, keys: Tensor, labels: Tensor, mask: Tensor, class_values: Tensor | None) -> None:
        """Add the batch to the sums as ``observe`` does with a value of each class; only where sums are streamed.

        labels: ``[episode, item]``. class_values: ``[episode, way, dim_v]``; None where values are one-hot labels.
        """
        count = mask.sum(dim=1)
        self._count = count if self._count is None else self._count + count
        self._class_values = class_values
        n_way = self.weights.shape[1] if class_values is None else class_values.shape[1]
        self._sums.add_grouped(without_padding(keys, mask), labels, n_way)

    def _cross(self) -> Tensor:
        cross = self._sums.cross
        return cross if self._class_values is None else cross @ self._class_values.double()

    def spectrum(self) -> tuple[Spectrum, Tensor]:
        """The spectrum of what was observed, and ``K^T V [E, d, v]``. Raises ValueError before the first pair."""
        if self._sums or not self._pairs:
            return Spectrum.of_gram(self._sums.gram), self._cross()
        keys, values = (joined(parts).double() for parts in zip(*self._pairs, strict=True))
        fewer = keys.shape[1] < keys.shape[2]
        return Spectrum.of_rows(keys) if fewer else Spectrum.of_gram(keys.mT @ keys), keys.mT @ values

    def solve(self) -> None:
        """Compile what was observed and forget it."""
        if self._count is None:
            return
        # Of an empty episode all singular values are 0 and below any cut-off; N = 1 keeps the cut-off finite.
        rtol = self._count.clamp(min=1).double() ** -self.alpha
        basis: Tensor | None = None
        if self._sums:
            weights = primal_weights(self._sums.gram, self._cross(), rtol)
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


class ChunkedFastWeights(Memory):
    """The published streaming: solutions of chunks of pairs, averaged by their numbers of pairs.

    While ``max_memory`` pairs or more are kept when a batch comes, the oldest ``update_size`` are solved and averaged
    in; what is left at the end is averaged in likewise. That is not the solution for all pairs together. For one
    episode.
    """

    def __init__(self, key_dim: int, value_dim: int, *, alpha: float, max_memory: int, update_size: int) -> None:
        super().__init__()
        self.alpha, self.max_memory, self.update_size = alpha, max_memory, update_size
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._solved = 0
        self.register_buffer("weights", torch.zeros(1, value_dim, key_dim))

    weights: Tensor
    """``[1, dim_v, dim_k]``."""

    def observe(self, keys: Tensor, values: Tensor, mask: Tensor) -> None:
        """Solve the oldest of too many pairs, then keep the new real ones."""
        while sum(map(len, self._keys)) >= self.max_memory:
            kept, kept_values = torch.cat(self._keys), torch.cat(self._values)
            size = min(self.update_size, len(kept))
            self._add(kept[:size], kept_values[:size])
            self._keys, self._values = [kept[size:]], [kept_values[size:]]
        self._keys.append(keys[mask])
        self._values.append(values[mask])

    def solve(self) -> None:
        """Average in what is left."""
        if self._keys:
            self._add(torch.cat(self._keys), torch.cat(self._values))
        self._keys, self._values = [], []

    def read(self, keys: Tensor) -> Tensor:
        """``W x`` for each of ``keys [1, item, dim_k]``."""
        return keys @ self.weights.mT

    def _add(self, keys: Tensor, values: Tensor) -> None:
        count = len(keys)
        if count == 0:
            return
        inverse = torch.linalg.pinv(keys, atol=0.0, rtol=count**-self.alpha)
        total = self._solved + count
        self.weights = (self._solved * self.weights + count * (values.mT @ inverse.mT)) / total
        self._solved = total
