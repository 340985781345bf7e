"""FAAST's fast weights of a text's tokens: on request of low rank, and with the share of the values they explain."""

import torch
from torch import Tensor

from methods._fast_weights import FastWeights
from methods._pairs import without_padding


class TokenWeights(FastWeights):
    """The least-squares map ``W`` of the hidden states of one episode's tokens, or the nearest map of a rank.

    Attributes:
        rank: Largest rank of W; None for no limit. Of a limit below half of the width the state is smaller.
        explained: Share of the values' squared length that W recalls for the keys it has seen, ``trace(W G W^T) /
            trace(V^T V)`` with ``G = K^T K``; None before ``solve`` and without a pair.
    """

    def __init__(self, width: int, *, alpha: float, rank: int | None = None) -> None:
        """An empty memory.

        Args:
            width: Width of keys and values.
            alpha: Exponent of the cut-off.
            rank: Largest rank of W.
        """
        # As many items as dimensions: the number of tokens is not known yet, and sums do not grow with it.
        super().__init__(1, width, width, n_items=width, alpha=alpha)
        self.rank = rank
        self.explained: float | None = None
        self._energy: Tensor | None = None

    def observe(self, keys: Tensor, values: Tensor, mask: Tensor) -> None:
        """Add the batch to the sums, leaving padding out."""
        super().observe(keys, values, mask)
        energy = without_padding(values, mask).double().square().sum()
        self._energy = energy if self._energy is None else self._energy + energy

    def solve(self) -> None:
        """Compile what was observed and forget it."""
        if not self._sums:
            return
        gram = self._sums.gram[0]
        super().solve()
        if self.rank is not None and self.rank < self.weights.shape[-1]:
            left, size, right = torch.linalg.svd(self.weights.double(), full_matrices=False)
            self.weights = (left[..., : self.rank] * size[:, None, : self.rank]).float()
            self.basis = right[:, : self.rank].float()
        whole = self.weights[0].double() if self.basis is None else self.weights[0].double() @ self.basis[0].double()
        recalled = float(((whole @ gram) * whole).sum())
        energy = 0.0 if self._energy is None else float(self._energy)
        self.explained = recalled / energy if energy > 0 else None
        self._energy = None
