"""k nearest neighbours: the class value of the label that most of them vote for, mixed with the prior."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot

from bench.contracts import Classes, EmbeddingUse, MethodConfig, Query, Support, Tune
from methods._block_pairs import BLOCK, BlockPairs, Reduction
from methods._prior_strength import StoredPairsConfig, StoredPairsMethod
from methods._reservoir import Reservoir


class KnnConfig(StoredPairsConfig):
    """Hyper-parameters of k-NN."""

    k: Annotated[int, Tune(1, 100, log=True)] = Field(
        default=10,
        ge=1,
        le=100_000,
        description="Neighbours that vote; never more than the largest class has examples.",
    )


class Neighbours(BlockPairs):
    """Keys with labels ``[episode, item, 1]`` as values; answers with the majority label among the k nearest keys.

    Distance is Euclidean, computed in float32; k is at most the largest class count of the episode.
    Labels with equally many votes: the one whose nearest member is nearest wins. Neighbours at exactly
    equal distance have no defined order. An episode without items answers label 0.
    """

    def __init__(
        self, n_episodes: int, key_dim: int, n_way: int, k: int, reservoir: Reservoir | None = None, n_items: int = 0
    ) -> None:
        super().__init__(n_episodes, key_dim, 1, reservoir, n_items)
        self.n_way = n_way
        self.k = k
        self.values = self.values.long()

    def read(self, keys: Tensor, left_out: Tensor | None = None) -> Tensor:
        """Answer ``keys [episode, item, dim_k]``, the stored keys being squared once for all of them."""
        # A part at a time: all squares would be a copy of the keys.
        parts = torch.split(self.keys, BLOCK, dim=1)
        self._lengths = torch.cat([part.square().sum(dim=-1) for part in parts], dim=1)
        return super().read(keys, left_out)

    def answer(self, keys: Tensor, allowed: Tensor) -> Tensor:
        """``[episode, item, 1]``, the label voted for."""
        labels, voters = self.values.squeeze(-1), self.voters()
        # |x|^2 is the same for all neighbours of a query, so their order does without it.
        farness = (2 * keys) @ self.keys.mT
        torch.sub(self._lengths.unsqueeze(1), farness, out=farness)
        farness.masked_fill_(~allowed, torch.inf)
        # Episodes have k of their own: take the largest, and let ranks beyond an episode's k abstain.
        most = int(voters.amax())
        if most == 0:
            return labels.new_zeros(*keys.shape[:2], 1)
        distance, nearest = farness.topk(most, dim=-1, largest=False)
        return self.elected(distance, labels.unsqueeze(1).expand(-1, keys.shape[1], -1).gather(2, nearest), voters)

    def reduction(self, episode: int, n_queries: int) -> "Nearest":
        """The nearest of all blocks so far."""
        return Nearest(self, episode, n_queries, int(self.voters()[episode]))

    def voters(self) -> Tensor:
        """``[episode]``, neighbours that vote."""
        labels = self.values.squeeze(-1)
        counts = labels.new_zeros(len(labels), self.n_way).scatter_add_(1, labels, self.mask.long())
        return counts.amax(dim=1).clamp(max=self.k)

    def squares(self, episode: int, block: slice) -> Tensor:
        """``[item]``, squared lengths of the keys of a block."""
        return self._lengths[episode, block]

    def elected(self, distance: Tensor, named: Tensor, voters: Tensor) -> Tensor:
        """The label that most of the nearest vote for.

        Args:
            distance: ``[episode, item, neighbour]``, ascending.
            named: The same of their labels.
            voters: ``[episode]``, neighbours that vote.

        Returns:
            ``[episode, item, 1]``.
        """
        most = named.shape[-1]
        rank = torch.arange(most, device=named.device)
        # There are fewer to vote where one is left out of an episode of one class alone.
        ballot = ((rank < voters.view(-1, 1, 1)) & distance.isfinite()).long()
        votes = named.new_zeros(*named.shape[:2], self.n_way).scatter_add_(2, named, ballot)
        # Votes decide; among equals the lower rank does, being worth less than one vote.
        standing = (votes.gather(2, named) * most - rank).masked_fill(ballot == 0, -most)
        return named.gather(2, standing.argmax(dim=-1, keepdim=True))


class Nearest(Reduction):
    """The nearest keys of one episode to some queries, by the same distances as ``Neighbours.answer``."""

    def __init__(self, memory: Neighbours, episode: int, n_queries: int, count: int) -> None:
        self.memory, self.episode, self.count = memory, episode, count
        self.distance = memory.keys.new_empty(n_queries, 0)
        self.named = memory.values.new_empty(n_queries, 0)

    def add(self, scores: Tensor, block: slice, excluded: Tensor | None) -> None:
        """Keep the nearest of those before and of the block."""
        farness = torch.sub(self.memory.squares(self.episode, block), scores.mul_(2), out=scores)
        if excluded is not None:
            farness.masked_fill_(excluded, torch.inf)
        distance, place = farness.topk(min(self.count, farness.shape[1]), dim=1, largest=False)
        named = self.memory.values[self.episode, block].squeeze(-1)[place]
        distance, named = torch.cat([self.distance, distance], dim=1), torch.cat([self.named, named], dim=1)
        self.distance, place = distance.topk(min(self.count, distance.shape[1]), dim=1, largest=False)
        self.named = named.gather(1, place)

    def result(self) -> Tensor:
        """``[query, 1]``, the label voted for; 0 without a pair."""
        if not self.count:
            return self.named.new_zeros(len(self.named), 1)
        voters = self.named.new_full((1,), self.count)
        return self.memory.elected(self.distance[None], self.named[None], voters)[0]


class Knn(StoredPairsMethod):
    """k-NN on the frozen keys. It votes on labels: the published vote on value vectors could elect no class at all.

    See StoredPairsMethod for the choice of N0.
    """

    Config = KnnConfig
    config: KnnConfig
    memory: Neighbours
    source = "Cover and Hart 1967, Nearest Neighbor Pattern Classification, as in FAAST, arXiv 2605.04651 (baseline)"

    def make_memory(self) -> Neighbours:
        """An empty store of labelled keys."""
        shape = self.shape
        sizes = shape.n_episodes, shape.key_dim, shape.n_way
        return Neighbours(*sizes, self.config.k, self.reservoir(), shape.n_support)

    @classmethod
    def embedding_use(cls, config: MethodConfig) -> EmbeddingUse:
        """Optional: without class embeddings the vote decides alone."""
        return EmbeddingUse.OPTIONAL

    def stored_values(self, support: Support) -> Tensor:
        """``[episode, item, 1]``, the labels."""
        return support.labels.unsqueeze(-1)

    def recalled(self, keys: Tensor, classes: Classes, left_out: Tensor | None = None) -> Tensor:
        """``[episode, item, dim_v]``, the class value of the label voted for."""
        values = classes.class_embeddings
        label: Tensor = self.memory.read(keys, left_out)
        return values.gather(1, label.expand(-1, -1, values.shape[-1]))

    def predict(self, query: Query) -> Tensor:
        """Class scores of the vote mixed with the prior; the vote itself where classes have no embeddings."""
        if self.shape.value_dim:
            return super().predict(query)
        voted: Tensor = self.memory.read(query.keys).squeeze(-1)
        return one_hot(voted, self.shape.n_way).float()


PLUGIN = Knn
