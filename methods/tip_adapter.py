"""Tip-Adapter: zero-shot logits plus the votes of a key-value cache, without training."""

from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot

from bench.contracts import Backbone, ForwardMethod, MethodConfig, ProblemShape, Query, Support, Tune
from methods._pairs import StoredPairs
from methods._reservoir import Reservoir


class TipAdapterConfig(MethodConfig):
    """Hyper-parameters of Tip-Adapter; the defaults are the published starting values, which are not searched here."""

    alpha: Annotated[float, Tune(1e-2, 1e2, log=True)] = Field(
        default=1.17, ge=0, le=1e3, description="Weight of the cache beside the zero-shot logits."
    )
    beta: Annotated[float, Tune(0.1, 1e2, log=True)] = Field(
        default=1.0, ge=0, le=1e3, description="Sharpness: a vote is exp(-beta * (1 - cosine))."
    )


def votes(queries: Tensor, keys: Tensor, indicator: Tensor, beta: float) -> Tensor:
    """``exp(-beta (1 - f F^T)) L [episode, query, way]``.

    queries: ``[episode, query, dim_k]``; keys F: ``[episode, item, dim_k]``; both of length 1.
    indicator L: ``[episode, item, way]``, one-hot, 0 for padding.
    """
    return (beta * (queries @ keys.mT - 1)).exp() @ indicator


class Cache(StoredPairs):
    """Keys with labels ``[episode, item, 1]`` as values, answering with the votes for each class."""

    def __init__(
        self, n_episodes: int, key_dim: int, n_way: int, beta: float, reservoir: Reservoir | None = None
    ) -> None:
        super().__init__(n_episodes, key_dim, 1, reservoir)
        self.n_way = n_way
        self.beta = beta
        self.values = self.values.long()

    def answer(self, keys: Tensor) -> Tensor:
        """``[episode, item, way]``."""
        indicator = one_hot(self.values.squeeze(-1), self.n_way) * self.mask.unsqueeze(-1)
        return votes(keys, self.keys, indicator.to(keys.dtype), self.beta)


class TipAdapter(ForwardMethod):
    """``class_logits(prior) + alpha exp(-beta (1 - f F^T)) L`` with the support's keys F and one-hot labels L.

    The published code searches alpha and beta on a validation set; here they are what the config says. Its state
    is the support set and a query costs time in proportion to it.
    """

    Config = TipAdapterConfig
    config: TipAdapterConfig
    source = (
        "Zhang et al. 2022, Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification, arXiv 2207.09519"
    )

    def __init__(self, config: TipAdapterConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self.cache = Cache(shape.n_episodes, shape.key_dim, shape.n_way, config.beta, Reservoir.of(shape))

    def observe(self, support: Support) -> None:
        """Keep keys and labels."""
        self.cache.observe(support.keys, support.labels.unsqueeze(-1), support.mask, support.labels)

    def solve(self) -> None:
        """Join the batches."""
        self.cache.solve()

    def predict(self, query: Query) -> Tensor:
        """Logits ``[episode, item, way]``."""
        zero_shot = self.backbone.class_logits(query.prior, query.classes)
        return zero_shot + self.config.alpha * self.cache.read(query.keys)


PLUGIN = TipAdapter
