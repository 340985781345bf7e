"""Hebbian memories: decaying sums of outer products of values and keys (Ba et al. 2016, arXiv 1610.06258)."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from bench.contracts import Memory
from methods._pairs import without_padding

NEGLIGIBLE = 1e-8
"""A pair that has decayed to this weight is lost in the rounding of the pairs that came after it."""
Length = Literal["values", "state"]


class HebbianMemory(Memory):
    """``M <- decay M + v k^T`` at each pair in turn, answering ``M x``; the same as attention without a softmax.

    The published rate eta only scales M. Sums are float64 while observing. Its state does not grow with the pairs,
    and a batch counts as its pairs one after another, padding not counting as a pair.
    """

    def __init__(self, n_episodes: int, key_dim: int, value_dim: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self._sums: Tensor | None = None
        self.register_buffer("weights", torch.zeros(n_episodes, value_dim, key_dim))

    weights: Tensor
    """``[episode, dim_v, dim_k]``."""

    def observe(self, keys: Tensor, values: Tensor, mask: Tensor) -> None:
        """Decay what is there by the number of pairs that come, and add them, the last one undecayed."""
        share, left = self.weigh(mask)
        keys, values = without_padding(keys, mask).double(), without_padding(values, mask).double()
        new = (share.unsqueeze(-1) * values).mT @ keys
        self._sums = new if self._sums is None else self._sums * left.unsqueeze(-1) + new

    def weigh(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What a batch leaves of each of its pairs, ``[episode, item]``, and of all before them, ``[episode, 1]``."""
        counted = mask.long().cumsum(dim=1)
        total = counted[:, -1:]
        return self.decay ** (total - counted).double(), self.decay ** total.double()

    def solve(self) -> None:
        """Round to float32."""
        if self._sums is not None:
            self.weights = self._sums.float()
            self._sums = None

    def read(self, keys: Tensor) -> Tensor:
        """``M x``, at a cost independent of the number of pairs."""
        return keys @ self.weights.mT


class CosineHebbian(HebbianMemory):
    """``M <- decay M + v k^T`` with keys of unit length; the answer ``M x`` is scaled to a length.

    Hidden states differ in length a hundredfold, and a few would be all that a sum of products remembers. ``M x``
    itself is of no length that means anything: it grows with the pairs that are remembered.

    length: ``state``, that of x. ``values``, the mean of the values' lengths, each counted by what the memory has
    left of it: as an answer of softmax memory or of a fit, ``M x`` then is no longer than what was learnt.
    """

    def __init__(self, n_episodes: int, key_dim: int, value_dim: int, decay: float, length: Length) -> None:
        super().__init__(n_episodes, key_dim, value_dim, decay)
        self.length = length
        self._weighed = torch.zeros(n_episodes, 2, dtype=torch.float64)
        self.register_buffer("value_length", torch.zeros(n_episodes, 1, 1))

    value_length: Tensor
    """``[episode, 1, 1]``."""

    def observe(self, keys: Tensor, values: Tensor, mask: Tensor) -> None:
        """Take in the pairs one after another; a batch of texts of one token has none."""
        if not mask.any():
            return
        super().observe(normalize(keys, dim=-1), values, mask)
        share, left = self.weigh(mask)
        lengths = torch.linalg.vector_norm(without_padding(values, mask).double(), dim=-1)
        new = torch.stack([(share * lengths).sum(dim=1), (share * mask).sum(dim=1)], dim=1)
        self._weighed = self._weighed.to(new) * left + new

    def solve(self) -> None:
        """Round, and take the mean of the lengths."""
        super().solve()
        total, weight = self._weighed.to(self.weights.device).unbind(dim=1)
        # Kept above 0 so that a memory of nothing answers 0, not 0 / 0.
        mean = total / weight.clamp(min=torch.finfo(torch.float32).tiny)
        self.value_length = mean.float().view(-1, 1, 1)

    def read(self, keys: Tensor) -> Tensor:
        """``M x`` at its length; 0 where nothing was observed."""
        of_state = self.length == "state"
        length = torch.linalg.vector_norm(keys, dim=-1, keepdim=True) if of_state else self.value_length
        return normalize(super().read(keys), dim=-1) * length
