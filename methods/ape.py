"""APE: Tip-Adapter's cache on chosen channels, with examples weighed by how far zero-shot answers are from them."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot

from bench.contracts import (
    Backbone,
    Classes,
    EmbeddingUse,
    ForwardMethod,
    MethodConfig,
    ProblemShape,
    Query,
    Support,
    Tune,
)
from methods._ape import (
    ClassSource,
    RefinedCacheConfig,
    Weight,
    at_channels,
    best_channels,
    chosen_settings,
    given,
    is_searched,
    searched,
)
from methods._held_out import Sample, StreamedSample, draws
from methods._moments import class_indicator
from methods._pairs import StoredPairs
from methods._prior_strength import Auto
from methods._reservoir import Reservoir

FIELDS = ("beta", "gamma", "alpha")
"""What is searched, that which is cheapest to change last."""
TINY = 1e-6
"""Added to probabilities before their ratio is taken, as published."""


class ApeConfig(RefinedCacheConfig):
    """Hyper-parameters of APE; gamma is searched too, as published."""

    gamma: Annotated[Weight | Auto, Tune(0.0, 1.0)] = Field(
        default="auto",
        description="Example i has the weight exp(gamma * r_i); auto: the best from 0 to 1 when each example is left "
        "out.",
    )


class WeightedCache(StoredPairs):
    """Keys on chosen channels with labels ``[episode, item, 1]`` as values, answering with weighted votes.

    Attributes:
        beta: ``[episode, 1, 1]``, sharpness of the votes.
        weights: ``[episode, item]``.
    """

    def __init__(self, n_episodes: int, key_dim: int, n_way: int, reservoir: Reservoir) -> None:
        super().__init__(n_episodes, key_dim, 1, reservoir)
        self.n_way = n_way
        self.values = self.values.long()
        self.register_buffer("beta", torch.ones(n_episodes, 1, 1))
        self.register_buffer("weights", torch.zeros(n_episodes, 0))

    beta: Tensor
    weights: Tensor

    def indicator(self) -> Tensor:
        """``[episode, item, way]``, one-hot labels, 0 for padding."""
        return class_indicator(self.values.squeeze(-1), self.mask, self.n_way)

    def answer(self, keys: Tensor, allowed: Tensor) -> Tensor:
        """``[episode, item, way]``."""
        votes = (self.beta * (keys @ self.keys.mT - 1)).exp().masked_fill(~allowed, 0)
        return votes @ (self.indicator().to(keys.dtype) * self.weights.unsqueeze(-1))


class Ape(ForwardMethod):
    """``class_logits(prior) + alpha exp(-beta (1 - f' F'^T)) (L exp(gamma r))`` with one-hot labels L.

    f' and F' are keys of queries and examples in the channels where classes are least alike and vary most, at length 1.
    ``r_i = log2(1 / p_i)`` with the probability p_i of the right class by ``softmax(F' W')``: examples that the class
    vectors W explain badly weigh more. W are the class embeddings where keys are in their space, as with CLIP, and
    otherwise class means of the keys, as also without a prior.

    The published code searches alpha, beta and gamma on a validation set. Here they are searched on the support set
    while adapting, with up to 32 items of each class, the votes for each item made by all other pairs, those of its own
    class scaled up by the one that is missing; see ``searched``. Channels and weights are those of all items.

    Its state is the support set on the chosen channels, and a query costs time in proportion to it.
    """

    family = "memory"
    Config = ApeConfig
    config: ApeConfig
    source = "Zhu et al. 2023, Not All Features Matter (APE), arXiv 2304.01195"

    def __init__(self, config: ApeConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._n_channels = max(1, round(config.channels * shape.key_dim))
        self.cache = WeightedCache(shape.n_episodes, shape.key_dim, shape.n_way, self._reservoir())
        self.register_buffer("channels", torch.arange(self._n_channels).expand(shape.n_episodes, -1).contiguous())
        self.register_buffer("alpha", torch.ones(shape.n_episodes, 1, 1))
        self._class_source = ClassSource(shape, config.prior)
        self._searched = any(is_searched(config, field) for field in FIELDS)
        self._sample = StreamedSample(shape.n_way)

    channels: Tensor
    """``[episode, channel]``."""
    alpha: Tensor
    """``[episode, 1, 1]``, weight of the cache."""

    @classmethod
    def embedding_use(cls, config: MethodConfig) -> EmbeddingUse:
        """Optional: class means stand for class embeddings; unused without a prior."""
        return EmbeddingUse.UNUSED if getattr(config, "prior", None) == "none" else EmbeddingUse.OPTIONAL

    def _reservoir(self) -> Reservoir:
        """As many items as the budget has room for on the chosen channels, with label, weight and mask."""
        shape, label = self.shape, 8
        most = shape.limits.items(4 * self._n_channels + label + 4 + 1, 8 * self._n_channels + 8)
        limit = None if most is None else most * (4 * shape.key_dim + label + 1)
        return Reservoir(limit, shape.n_way, shape.seed)

    def observe(self, support: Support) -> None:
        """Keep keys and labels, and add up what stands for classes."""
        draw, labels = draws(support, self.shape.seed), support.labels
        self.cache.observe(support.keys, labels.unsqueeze(-1), support.mask, labels, draw)
        self._class_source.observe(support, support.classes)
        if self._searched:
            self._sample.add(Sample.of(support, self.shape.seed))
            self._classes = support.classes

    def solve(self) -> None:
        """Choose channels, weigh the examples, and search what is not given."""
        cache = self.cache
        cache.solve()
        if not self._class_source.observed:  # an empty cache, beside which zero-shot logits answer alone
            cache.keys = at_channels(cache.keys, self.channels)
            return
        vectors = self._class_source.vectors()
        self.channels = best_channels(vectors, self._n_channels, self.config.similarity)
        cache.keys = at_channels(cache.keys, self.channels)
        surprise = _surprise(cache.keys, at_channels(vectors, self.channels).to(cache.keys.dtype), cache)
        first = given(self.config, FIELDS)
        settings = surprise.new_tensor([first[field] for field in FIELDS]).expand(len(surprise), -1)
        if self._sample:
            settings = self._choose(self._sample.lowest(), self._classes, surprise)
            self._sample = StreamedSample(self.shape.n_way)
        beta, gamma, alpha = settings.unbind(dim=1)
        cache.beta, self.alpha = beta.view(-1, 1, 1), alpha.view(-1, 1, 1)
        cache.weights = (gamma.unsqueeze(-1) * surprise).exp()
        cache.forget_draws()
        self._class_source = ClassSource(self.shape, self.config.prior)

    def _choose(self, sample: Sample, classes: Classes, surprise: Tensor) -> Tensor:
        """Beta, gamma and alpha of each episode, ``[episode, 3]``."""
        cache, sizes = self.cache, self.cache.indicator().sum(dim=1)
        own = (1 + one_hot(sample.labels, self.shape.n_way) / (sizes - 1).clamp(min=1).unsqueeze(1)).float()
        mask = sample.mask & (sizes.gather(1, sample.labels) > 1)
        keys = at_channels(sample.keys, self.channels)
        zero_shot = self.backbone.class_logits(sample.prior, classes)
        latest: dict[tuple[float, float], Tensor] = {}

        def scores(values: dict[str, float]) -> Tensor:
            place = values["beta"], values["gamma"]
            if place not in latest:
                latest.clear()
                cache.beta = torch.full_like(cache.beta, values["beta"])
                cache.weights = (values["gamma"] * surprise).exp()
                latest[place] = own * cache.read(keys, sample.draw)
            cached = latest[place]
            return cached if self.config.prior == "none" else zero_shot + values["alpha"] * cached

        found = searched(self.config, FIELDS, scores, sample.labels, mask)
        self.notes |= chosen_settings(self.config, dict(zip(FIELDS, found.unbind(dim=1), strict=True)))
        return found

    def predict(self, query: Query) -> Tensor:
        """Logits ``[episode, item, way]``."""
        cached = self.cache.read(at_channels(query.keys, self.channels))
        if self.config.prior == "none":
            return cached
        return self.backbone.class_logits(query.prior, query.classes) + self.alpha * cached


def _surprise(keys: Tensor, vectors: Tensor, cache: WeightedCache) -> Tensor:
    """``[episode, item]``, r: the logarithm of the inverse probability of each item's class; 0 for padding."""
    probability = (keys @ vectors.mT).softmax(dim=-1).gather(-1, cache.values).squeeze(-1)
    return ((1 + TINY) / (probability + TINY)).log2().masked_fill(~cache.mask, 0)


PLUGIN = Ape
