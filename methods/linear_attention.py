"""Attention with a linear feature map, summed into one matrix, mixed with the prior."""

import torch
from torch import Tensor
from torch.nn.functional import elu

from bench.contracts import AssociativeMethod, Memory
from methods._pairs import without_padding


def feature_map(vectors: Tensor) -> Tensor:
    """``phi(u) = elu(u - mean(u)) + 1``, over the last axis; positive, so that a sum of it can normalise."""
    return elu(vectors - vectors.mean(dim=-1, keepdim=True)) + 1


class LinearAttentionMemory(Memory):
    """Answers ``phi(x) . sum_i phi(k_i) (v_i - mean v)^T / (phi(x) . sum_i phi(k_i))``; 0 if nothing was observed.

    Sums are float64 while observing: an answer is a small difference of nearly equal numbers, since
    phi varies little around 1 on unit vectors. Its state does not grow with the pairs.
    """

    def __init__(self, n_episodes: int, key_dim: int, value_dim: int) -> None:
        super().__init__()
        # Not buffers: the sums are forgotten in solve, and must stay float64 until then.
        self._sums: list[Tensor] = []
        self.register_buffer("weights", torch.zeros(n_episodes, key_dim, value_dim))
        self.register_buffer("normaliser", torch.zeros(n_episodes, key_dim, 1))

    weights: Tensor
    """``[episode, dim_k, dim_v]``: the sum of ``phi(k_i) (v_i - mean v)^T``."""
    normaliser: Tensor
    """``[episode, dim_k, 1]``: the sum of ``phi(k_i)``."""

    def observe(self, keys: Tensor, values: Tensor, mask: Tensor) -> None:
        """Add the batch to the sums of phi(k), phi(k) v^T, v and 1."""
        # Padding is zeroed before phi, against NaN, and after it, because phi(0) is 1.
        features = without_padding(feature_map(without_padding(keys, mask).double()), mask)
        values = without_padding(values, mask).double()
        ones = mask.unsqueeze(-1).double()
        sums = [
            features.mT @ ones,
            features.mT @ values,
            values.sum(dim=1, keepdim=True),
            ones.sum(dim=1, keepdim=True),
        ]
        self._sums = [total + new for total, new in zip(self._sums, sums, strict=True)] if self._sums else sums

    def solve(self) -> None:
        """Subtract the mean value, which is known only now."""
        if not self._sums:
            return
        normaliser, weights, value_sum, count = self._sums
        self.weights = (weights - normaliser @ (value_sum / count.clamp(min=1))).float()
        self.normaliser = normaliser.float()
        self._sums = []

    def read(self, keys: Tensor) -> Tensor:
        """``[episode, item, dim_v]``, at a cost independent of the number of pairs."""
        features = feature_map(keys)
        # Of an empty episode numerator and denominator are both 0; its answer is to be 0.
        return (features @ self.weights) / (features @ self.normaliser).clamp(min=torch.finfo(features.dtype).tiny)


class LinearAttention(AssociativeMethod):
    """Linear attention over the support set, relative to its mean value."""

    linear_in_values = True
    source = (
        "Katharopoulos et al. 2020, Transformers are RNNs, arXiv 2006.16236, as in FAAST, arXiv 2605.04651 (baseline)"
    )

    def make_memory(self) -> LinearAttentionMemory:
        """Empty sums for the problem's shapes."""
        return LinearAttentionMemory(self.shape.n_episodes, self.shape.key_dim, self.memory_dim)


PLUGIN = LinearAttention
