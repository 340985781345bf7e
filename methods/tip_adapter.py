"""Tip-Adapter: zero-shot logits plus the votes of a key-value cache, without training."""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot

from bench.contracts import Backbone, EmbeddingUse, ForwardMethod, MethodConfig, ProblemShape, Query, Support, Tune
from methods._block_pairs import BlockPairs, Reduction, by_class
from methods._choice import chosen
from methods._held_out import Sample, StreamedSample
from methods._moments import class_indicator, class_sizes
from methods._reservoir import Reservoir

Auto = Literal["auto"]
Weight = Annotated[float, Field(ge=0, le=1e3)]
START = (1.17, 1.0)
"""The published starting values of alpha and beta."""
ALPHAS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
BETAS = (0.3, 1.0, 2.0, 5.5, 10.0, 20.0, 50.0)
"""What ``auto`` chooses from. The published ranges end at 3 and 7: zero-shot logits of CLIP are smaller than others."""
SETTING_BYTES = 8
"""Bytes of an episode's alpha and beta."""


class TipAdapterConfig(MethodConfig):
    """Hyper-parameters of Tip-Adapter; both weights are searched, as published."""

    prior: Literal["mix", "none"] = Field(
        default="mix", description="mix: zero-shot logits and the cache, as published. none: the cache alone."
    )
    alpha: Annotated[Weight | Auto, Tune(1e-2, 1e2, log=True)] = Field(
        default="auto",
        description="Weight of the cache beside the zero-shot logits; auto: the best from 0.1 to 300 when each example "
        "is left out.",
    )
    beta: Annotated[Weight | Auto, Tune(0.1, 1e2, log=True)] = Field(
        default="auto",
        description="Sharpness: a vote is exp(-beta * (1 - cosine)); auto: the best from 0.3 to 50 when each example "
        "is left out.",
    )


def use_of_embeddings(config: MethodConfig) -> EmbeddingUse:
    """What the cache does with class embeddings: with labels in their place zero-shot logits are equal, and it decides.

    Args:
        config: The method's config.

    Returns:
        The use.
    """
    return EmbeddingUse.UNUSED if getattr(config, "prior", None) == "none" else EmbeddingUse.LABELS_INSTEAD


def start(config: TipAdapterConfig) -> tuple[float, float]:
    """Alpha and beta as given, or the published starting values."""
    alpha = START[0] if config.alpha == "auto" else config.alpha
    return alpha, START[1] if config.beta == "auto" else config.beta


def votes(affinity: Tensor, indicator: Tensor, beta: Tensor | float) -> Tensor:
    """``exp(-beta (1 - f F^T)) L [episode, query, way]``.

    Args:
        affinity: ``f F^T [episode, query, item]``, cosines; minus infinity for a vote of 0.
        indicator: L ``[episode, item, way]``, one-hot, 0 for padding.
        beta: ``[episode, 1, 1]``, or one for all.

    Returns:
        Votes for each class.
    """
    return (beta * (affinity - 1)).exp() @ indicator


def sharpnesses(config: TipAdapterConfig) -> tuple[float, ...]:
    """The betas to choose from, the given or published one first."""
    beta = start(config)[1]
    return (beta, *BETAS) if config.beta == "auto" else (beta,)


def searched(
    config: TipAdapterConfig,
    zero_shot: Tensor,
    cached: Callable[[float], Tensor],
    sample: Sample,
    mask: Tensor,
) -> tuple[Tensor, Tensor]:
    """The alpha and beta of each episode: given, or of best accuracy on items left out of the cache.

    Of equally accurate settings the likelier wins, and the published starting values stay unless another
    setting is better by more than a standard error (see ``methods._choice.chosen``). With one example per class they
    stay.

    Args:
        config: The method's config.
        zero_shot: ``[episode, item, way]``, zero-shot logits of the sample.
        cached: From beta to votes ``[episode, item, way]`` of pairs other than the item's own.
        sample: The items.
        mask: ``[episode, item]``, where such votes mean something.

    Returns:
        ``[episode, 1, 1]`` each.
    """
    alpha, betas = start(config)[0], sharpnesses(config)
    alphas = (alpha, *ALPHAS) if config.alpha == "auto" else (alpha,)
    if config.prior == "none":
        alphas = alphas[:1]
    settings = list(product(betas, alphas))
    episode = zero_shot.new_ones(len(zero_shot), 1, 1)

    def candidates() -> Any:
        for beta in betas:
            found = cached(beta)
            for alpha in alphas:
                yield found if config.prior == "none" else zero_shot + alpha * found

    if len(settings) == 1:
        return settings[0][1] * episode, settings[0][0] * episode
    best = chosen(candidates(), sample.labels, mask, "accuracy")
    found = zero_shot.new_tensor(settings)[best].view(-1, 1, 1, 2)
    return found[..., 1], found[..., 0]


class Cache(BlockPairs):
    """Keys with labels ``[episode, item, 1]`` as values, answering with the votes for each class.

    Attributes:
        beta: ``[episode, 1, 1]``, sharpness of the votes.
    """

    def __init__(
        self, n_episodes: int, key_dim: int, n_way: int, reservoir: Reservoir | None = None, n_items: int = 0
    ) -> None:
        super().__init__(n_episodes, key_dim, 1, reservoir, n_items)
        self.n_way = n_way
        self.values = self.values.long()
        self.register_buffer("beta", torch.ones(n_episodes, 1, 1))

    beta: Tensor

    def sizes(self) -> Tensor:
        """``[episode, way]``, number of pairs of each class."""
        return class_sizes(self.values.squeeze(-1), self.mask, self.n_way)

    def read(self, keys: Tensor, left_out: Tensor | None = None) -> Tensor:
        """Votes ``[episode, item, way]``, with one indicator of the labels for all queries."""
        if not self.in_blocks():
            self._indicator = class_indicator(self.values.squeeze(-1), self.mask, self.n_way).to(keys.dtype)
        return super().read(keys, left_out)

    def read_each(self, keys: Tensor, left_out: Tensor, betas: Sequence[float]) -> Iterator[Tensor]:
        """Votes ``[episode, item, way]`` for each of several betas, from one pass over the blocks."""
        found = self.read_in_blocks(keys, left_out, lambda episode, n_queries: Votes(self, episode, n_queries, betas))
        return iter(found.view(*keys.shape[:2], len(betas), self.n_way).unbind(dim=2))

    def reduction(self, episode: int, n_queries: int) -> "Votes":
        """The votes of all blocks so far."""
        return Votes(self, episode, n_queries, [float(self.beta[episode])])

    def answer(self, keys: Tensor, allowed: Tensor) -> Tensor:
        """``[episode, item, way]``."""
        return votes((keys @ self.keys.mT).masked_fill(~allowed, -torch.inf), self._indicator, self.beta)


class Votes(Reduction):
    """Votes for each class of one episode, one beta after the other."""

    def __init__(self, cache: Cache, episode: int, n_queries: int, betas: Sequence[float]) -> None:
        self.cache, self.episode, self.betas = cache, episode, betas
        self.sums = cache.keys.new_zeros(n_queries, len(betas), cache.n_way)

    def add(self, scores: Tensor, block: slice, excluded: Tensor | None) -> None:
        """Add the votes of the block."""
        scores.sub_(1)
        if excluded is not None:
            scores.masked_fill_(excluded, -torch.inf)
        labels = self.cache.values[self.episode, block].squeeze(-1)
        for place, beta in enumerate(self.betas):
            self.sums[:, place] += by_class((beta * scores).exp_(), labels, self.cache.n_way)

    def result(self) -> Tensor:
        """``[query, beta * way]``."""
        return self.sums.flatten(1)


class TipAdapter(ForwardMethod):
    """``class_logits(prior) + alpha exp(-beta (1 - f F^T)) L`` with the support's keys F and one-hot labels L.

    The published code searches alpha and beta on a validation set. Here they are searched on the support set while
    adapting, with up to 32 items of each class, the votes for each item made by all other pairs; see ``searched``. An
    item's own class has a pair fewer without it, so that its votes are scaled up to the class's size.

    Its state is the support set and a query costs time in proportion to it.
    """

    family = "memory"
    Config = TipAdapterConfig
    config: TipAdapterConfig
    source = (
        "Zhang et al. 2022, Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification, arXiv 2207.09519"
    )

    def __init__(self, config: TipAdapterConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        sizes = shape.n_episodes, shape.key_dim, shape.n_way
        self.cache = Cache(*sizes, Reservoir.of(shape, SETTING_BYTES), shape.n_support)
        self.register_buffer("alpha", torch.ones(shape.n_episodes, 1, 1))
        self._sample = StreamedSample(shape.n_way)

    alpha: Tensor
    """``[episode, 1, 1]``, weight of the cache."""

    @classmethod
    def embedding_use(cls, config: MethodConfig) -> EmbeddingUse:
        """See use_of_embeddings."""
        return use_of_embeddings(config)

    def observe(self, support: Support) -> None:
        """Keep keys and labels."""
        batch = Sample.of(support, self.shape.seed)
        self.cache.observe(support.keys, support.labels.unsqueeze(-1), support.mask, support.labels, batch.draw)
        self._sample.add(batch)
        self._classes = support.classes

    def solve(self) -> None:
        """Join the batches, and search what is not given."""
        self.cache.solve()
        if not self._sample:
            return
        sample, classes = self._sample.lowest(), self._classes
        sizes = self.cache.sizes()
        own = one_hot(sample.labels, self.shape.n_way) / (sizes - 1).clamp(min=1).unsqueeze(1)
        mask = sample.mask & (sizes.gather(1, sample.labels) > 1)

        each = None
        if self.cache.in_blocks():
            each = self.cache.read_each(sample.keys, sample.draw, sharpnesses(self.config))

        def cached(beta: float) -> Tensor:
            self.cache.beta = torch.full_like(self.cache.beta, beta)
            found = self.cache.read(sample.keys, sample.draw) if each is None else next(each)
            return (1 + own).to(found.dtype) * found

        zero_shot = self.backbone.class_logits(sample.prior, classes)
        self.alpha, self.cache.beta = searched(self.config, zero_shot, cached, sample, mask)
        self.notes |= chosen_settings(self.config, self.alpha, self.cache.beta)
        self.cache.forget_draws()
        self._sample = StreamedSample(self.shape.n_way)

    def predict(self, query: Query) -> Tensor:
        """Logits ``[episode, item, way]``."""
        cached = self.cache.read(query.keys)
        if self.config.prior == "none":
            return cached
        return self.backbone.class_logits(query.prior, query.classes) + self.alpha * cached


def chosen_settings(config: TipAdapterConfig, alpha: Tensor, beta: Tensor) -> dict[str, float]:
    """Medians over episodes of what was searched, for the record."""
    found = {"chosen_alpha": (config.alpha, alpha), "chosen_beta": (config.beta, beta)}
    return {name: float(values.median()) for name, (given, values) in found.items() if given == "auto"}


PLUGIN = TipAdapter
