"""Attention over all stored pairs: softmax(scale * x K^T) V."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from bench.contracts import Memory, MultiSiteMethod, Support, Tune
from bench.toolkit.hidden_states import HiddenStateConfig, HiddenStateMethod
from methods._block_pairs import MANY, BlockPairs, Reduction, by_class
from methods._prior_strength import StoredPairsConfig, StoredPairsMethod
from methods._reservoir import Reservoir

SOURCE = "Vaswani et al. 2017, Attention Is All You Need, arXiv 1706.03762, as in FAAST, arXiv 2605.04651 (baseline)"
STILL = 1e-6
"""Move of a query, as a share of its length, below which further steps change nothing."""


class SoftmaxOnFeaturesConfig(StoredPairsConfig):
    """Hyper-parameters of softmax memory on features."""

    scale: Annotated[float, Tune(1.0, 1e3, log=True)] = Field(
        default=100.0,
        gt=0,
        le=1e4,
        description="What similarities are multiplied by; the published value is CLIP's 100.",
    )
    steps: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Softmaxes a query goes through. All but the last replace it with the mean of the stored keys, as "
        "in a modern Hopfield network; 1 is published for the memory.",
    )


class SoftmaxPairs(BlockPairs):
    """Answers with the mean of the stored values, weighted by ``softmax(scale * x K^T)``; 0 if nothing is stored.

    n_way: where values are labels ``[episode, item, 1]`` that stand for one-hot values; 0 for values as they are.
    steps: softmaxes a query goes through; all but the last replace it with the weighted mean of the keys, ``x <- K^T
    softmax(scale K x)``, until none moves by more than ``STILL`` of its length (Ramsauer et al. 2020, 2008.02217).
    """

    def __init__(
        self, n_episodes: int, key_dim: int, value_dim: int, scale: float, reservoir: Reservoir | None = None,
        n_items: int = 0, n_way: int = 0, steps: int = 1,
    ) -> None:  # fmt: skip
        super().__init__(n_episodes, key_dim, 1 if n_way else value_dim, reservoir, n_items)
        self.scale, self.n_way, self.steps = scale, n_way, steps
        if n_way:
            self.values = self.values.long()

    def in_blocks(self) -> bool:
        """Whether pairs are read block by block, as labels always are."""
        return bool(self.n_way) or super().in_blocks()

    def read(self, keys: Tensor, left_out: Tensor | None = None) -> Tensor:
        """Answer ``keys [episode, item, dim_k]``; see StoredPairs.read."""
        for _ in range(self.steps - 1):
            before, keys = keys, self._of_keys().read(keys, left_out)
            if bool(((keys - before).norm(dim=-1) <= STILL * keys.norm(dim=-1)).all()):
                break
        return super().read(keys, left_out)

    def _of_keys(self) -> "SoftmaxPairs":
        """The same pairs with keys for values, as a memory of one step."""
        same = SoftmaxPairs(0, self.keys.shape[2], self.keys.shape[2], self.scale)
        same.keys, same.values, same.mask, same._draws = self.keys, self.keys, self.mask, self._draws
        return same

    def reduction(self, episode: int, n_queries: int) -> "Attention":
        """The weighted mean over all blocks so far."""
        return Attention(self, episode, n_queries)

    def answer(self, keys: Tensor, allowed: Tensor) -> Tensor:
        """``[episode, item, dim_v]``, the weighted mean."""
        scores = self.scale * (keys @ self.keys.mT)
        # The lowest finite number, not -inf: an episode of padding alone then averages values of 0, not NaN.
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        return scores.softmax(dim=-1) @ self.values


class Attention(Reduction):
    """``softmax(scores) V`` of one episode, with weights relative to the greatest score so far (Milakov and
    Gimelshein 2018, arXiv 1805.02867).
    """

    def __init__(self, memory: SoftmaxPairs, episode: int, n_queries: int) -> None:
        self.memory, self.episode = memory, episode
        keys = memory.keys
        self.greatest = keys.new_full((n_queries, 1), torch.finfo(keys.dtype).min)
        self.total = keys.new_zeros(n_queries, 1)
        self.sums = keys.new_zeros(n_queries, memory.n_way or memory.values.shape[2])

    def add(self, scores: Tensor, block: slice, excluded: Tensor | None) -> None:
        """Add the block's values, and scale those before where it has a greater score."""
        scores.mul_(self.memory.scale)
        if excluded is not None:
            scores.masked_fill_(excluded, torch.finfo(scores.dtype).min)
        greatest = torch.maximum(self.greatest, scores.amax(dim=1, keepdim=True))
        weights = scores.sub_(greatest).exp_()
        if excluded is not None:
            weights.masked_fill_(excluded, 0)
        before = (self.greatest - greatest).exp()
        values, n_way = self.memory.values[self.episode, block], self.memory.n_way
        new = by_class(weights, values.squeeze(-1), n_way) if n_way else weights @ values
        self.total = self.total * before + weights.sum(dim=1, keepdim=True)
        self.sums, self.greatest = self.sums * before + new, greatest

    def result(self) -> Tensor:
        """``[query, dim_v]``; 0 without a pair."""
        return self.sums / self.total.clamp(min=torch.finfo(self.total.dtype).tiny)


class SoftmaxOnFeatures(StoredPairsMethod):
    """FAAST's baseline: all pairs are read at every query, at a cost that grows with the support set.

    See StoredPairsMethod for the choice of N0. From ``methods._block_pairs.MANY`` items on, labels are kept in place of
    values.
    """

    linear_in_values = True
    Config = SoftmaxOnFeaturesConfig
    config: SoftmaxOnFeaturesConfig
    memory: SoftmaxPairs
    source = SOURCE

    def make_memory(self) -> SoftmaxPairs:
        """An empty store that attends with the configured scale."""
        shape, n_way = self.shape, 0
        if shape.n_support >= MANY:
            self.stores_labels, n_way = True, shape.n_way
        sizes = shape.n_episodes, shape.key_dim, self.memory_dim
        return SoftmaxPairs(*sizes, self.config.scale, self.reservoir(), shape.n_support, n_way, self.config.steps)

    def stored_values(self, support: Support) -> Tensor:
        """``[episode, item, dim]``: values, or labels in their place."""
        return support.labels.unsqueeze(-1) if self.memory.n_way else super().stored_values(support)


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

    def read(self, keys: Tensor, left_out: Tensor | None = None) -> Tensor:
        """``[1, item, dim_v]``: the mean of the stored values, weighted by ``softmax(scale * cosine)``."""
        return super().read(normalize(keys, dim=-1), left_out)


class SoftmaxOnHiddenStates(HiddenStateMethod):
    """Softmax memory before some blocks and before the final norm; see HiddenStateMethod for keys and values.

    It stores a key and a value per token of support text, and reads all of them at each token of a query.
    """

    family = "memory"
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
