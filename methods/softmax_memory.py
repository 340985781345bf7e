"""Attention over all stored pairs: softmax(scale * x K^T) V."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from bench.contracts import Memory, MultiSiteMethod, Tune
from bench.toolkit.hidden_states import HiddenStateConfig, HiddenStateMethod
from methods._pairs import StoredPairs
from methods._prior_strength import StoredPairsConfig, StoredPairsMethod
from methods._reservoir import Reservoir

SOURCE = "Vaswani et al. 2017, Attention Is All You Need, arXiv 1706.03762, as in FAAST, arXiv 2605.04651 (baseline)"


class SoftmaxOnFeaturesConfig(StoredPairsConfig):
    """Hyper-parameters of softmax memory on features."""

    scale: Annotated[float, Tune(1.0, 1e3, log=True)] = Field(
        default=100.0,
        gt=0,
        le=1e4,
        description="What similarities are multiplied by; the published value is CLIP's 100.",
    )


class SoftmaxPairs(StoredPairs):
    """Answers with the mean of the stored values, weighted by ``softmax(scale * x K^T)``; 0 if nothing is stored."""

    def __init__(
        self, n_episodes: int, key_dim: int, value_dim: int, scale: float, reservoir: Reservoir | None = None
    ) -> None:
        super().__init__(n_episodes, key_dim, value_dim, reservoir)
        self.scale = scale

    def answer(self, keys: Tensor, allowed: Tensor) -> Tensor:
        """``[episode, item, dim_v]``, the weighted mean."""
        scores = self.scale * (keys @ self.keys.mT)
        # The lowest finite number, not -inf: an episode of padding alone then averages values of 0, not NaN.
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        return scores.softmax(dim=-1) @ self.values


class SoftmaxOnFeatures(StoredPairsMethod):
    """FAAST's baseline: all pairs are read at every query, at a cost that grows with the support set.

    See StoredPairsMethod for the choice of N0.
    """

    linear_in_values = True
    Config = SoftmaxOnFeaturesConfig
    config: SoftmaxOnFeaturesConfig
    memory: SoftmaxPairs
    source = SOURCE

    def make_memory(self) -> SoftmaxPairs:
        """An empty store that attends with the configured scale."""
        shape = self.shape
        return SoftmaxPairs(shape.n_episodes, shape.key_dim, self.memory_dim, self.config.scale, self.reservoir())


class SoftmaxOnHiddenStatesConfig(HiddenStateConfig):
    """Hyper-parameters of softmax memory on hidden states."""

    scale: Annotated[float, Tune(1.0, 1e3, log=True)] = Field(
        default=100.0,
        gt=0,
        le=1e4,
        description="What cosine similarities are multiplied by; CLIP's 100, as FAAST's baseline has it for images.",
    )


class CosinePairs(SoftmaxPairs):
    """Softmax memory of one episode that compares by cosine and leaves padding out of its store."""

    def observe(
        self, keys: Tensor, values: Tensor, mask: Tensor, labels: Tensor | None = None, draws: Tensor | None = None
    ) -> None:
        """Keep the real pairs, their keys at unit length; tokens have no classes."""
        super().observe(normalize(keys[mask], dim=-1)[None], values[mask][None], mask[mask][None])

    def answer(self, keys: Tensor, allowed: Tensor) -> Tensor:
        """``[1, item, dim_v]``: the mean of the stored values, weighted by ``softmax(scale * cosine)``."""
        return super().answer(normalize(keys, dim=-1), allowed)


class SoftmaxOnHiddenStates(HiddenStateMethod):
    """Softmax memory before some blocks and before the final norm; see HiddenStateMethod for keys and values.

    It stores a key and a value per token of support text, and reads all of them at each token of a query.
    """

    Config = SoftmaxOnHiddenStatesConfig
    config: SoftmaxOnHiddenStatesConfig
    source = SOURCE

    def make_memory(self, width: int) -> Memory:
        """An empty store that attends with the configured scale."""
        reservoir = Reservoir.of(self.shape, self.readout_bytes(), len(self.places))
        return CosinePairs(1, width, width, self.config.scale, reservoir)


class SoftmaxMemory(MultiSiteMethod):
    """All pairs are kept and attended to at every query."""

    features = SoftmaxOnFeatures
    hidden_states = SoftmaxOnHiddenStates


PLUGIN = SoftmaxMemory
