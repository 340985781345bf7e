"""FAAST inside a language model: closed-form fast weights before some blocks and before the final norm."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from bench.contracts import Memory, Tune
from methods._inside import HiddenStateConfig, HiddenStateMemory
from methods.faast import FastWeights

LmSolver = Literal["exact", "published"]


class FaastLmConfig(HiddenStateConfig):
    """Hyper-parameters of FAAST inside a language model; defaults are published."""

    alpha: Annotated[float, Tune(0.4, 1.6)] = Field(
        default=1.0,
        ge=0,
        le=4,
        description="Drops directions whose singular value is below N ** -alpha of the largest; N counts tokens. "
        "Published: 0.8 for perplexity, 0.5 to 1.2 by task and model.",
    )
    solver: LmSolver = Field(
        default="exact",
        description="exact: one joint solve in float64. published: averages of solutions of chunks, in float32.",
    )
    max_memory: int = Field(default=65_536, ge=1, description="Pairs kept before a chunk is solved (published solver).")
    update_size: int = Field(default=8_192, ge=1, description="Pairs in a chunk (published solver).")


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
            kept, told = torch.cat(self._keys), torch.cat(self._values)
            size = min(self.update_size, len(kept))
            self._add(kept[:size], told[:size])
            self._keys, self._values = [kept[size:]], [told[size:]]
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


class FaastLm(HiddenStateMemory):
    """Fast weights for every memory; see HiddenStateMemory for what they learn and where they stand."""

    Config = FaastLmConfig
    config: FaastLmConfig
    source = "Bao et al., FAAST: Forward-Only Associative Learning via Closed-Form Fast Weights, arXiv 2605.04651"

    def make_memory(self, width: int) -> Memory:
        """Fast weights, which sum over pairs and keep none, or the published ones."""
        config = self.config
        if config.solver == "published":
            return ChunkedFastWeights(
                width, width, alpha=config.alpha, max_memory=config.max_memory, update_size=config.update_size
            )
        # As many items as dimensions: the number of tokens is not known yet, and sums do not grow with it.
        return FastWeights(1, width, width, n_items=width, alpha=config.alpha)


PLUGIN = FaastLm
