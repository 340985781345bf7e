"""Tip-Adapter: zero-shot logits plus the votes of a key-value cache, without training."""

from collections.abc import Callable
from itertools import product
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot

from bench.contracts import Backbone, Classes, ForwardMethod, MethodConfig, ProblemShape, Query, Support, Tune
from methods._choice import chosen
from methods._held_out import Sample
from methods._moments import class_indicator
from methods._pairs import StoredPairs
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


def searched(
    config: TipAdapterConfig,
    zero_shot: Tensor,
    cached: Callable[[Tensor], Tensor],
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
        cached: From beta ``[episode, 1, 1]`` to votes ``[episode, item, way]`` of pairs other than the item's own.
        sample: The items.
        mask: ``[episode, item]``, where such votes mean something.

    Returns:
        ``[episode, 1, 1]`` each.
    """
    alpha, beta = start(config)
    alphas = (alpha, *ALPHAS) if config.alpha == "auto" else (alpha,)
    betas = (beta, *BETAS) if config.beta == "auto" else (beta,)
    if config.prior == "none":
        alphas = alphas[:1]
    settings = list(product(betas, alphas))
    episode = zero_shot.new_ones(len(zero_shot), 1, 1)

    def candidates() -> Any:
        for beta in betas:
            found = cached(beta * episode)
            for alpha in alphas:
                yield found if config.prior == "none" else zero_shot + alpha * found

    if len(settings) == 1:
        return settings[0][1] * episode, settings[0][0] * episode
    best = chosen(candidates(), sample.labels, mask, "accuracy")
    found = zero_shot.new_tensor(settings)[best].view(-1, 1, 1, 2)
    return found[..., 1], found[..., 0]


class Cache(StoredPairs):
    """Keys with labels ``[episode, item, 1]`` as values, answering with the votes for each class.

    Attributes:
        beta: ``[episode, 1, 1]``, sharpness of the votes.
    """

    def __init__(self, n_episodes: int, key_dim: int, n_way: int, reservoir: Reservoir | None = None) -> None:
        super().__init__(n_episodes, key_dim, 1, reservoir)
        self.n_way = n_way
        self.values = self.values.long()
        self.register_buffer("beta", torch.ones(n_episodes, 1, 1))

    beta: Tensor

    def sizes(self) -> Tensor:
        """``[episode, way]``, number of pairs of each class."""
        return class_indicator(self.values.squeeze(-1), self.mask, self.n_way).sum(dim=1)

    def answer(self, keys: Tensor, allowed: Tensor) -> Tensor:
        """``[episode, item, way]``."""
        indicator = class_indicator(self.values.squeeze(-1), self.mask, self.n_way).to(keys.dtype)
        return votes((keys @ self.keys.mT).masked_fill(~allowed, -torch.inf), indicator, self.beta)


class TipAdapter(ForwardMethod):
    """``class_logits(prior) + alpha exp(-beta (1 - f F^T)) L`` with the support's keys F and one-hot labels L.

    The published code searches alpha and beta on a validation set. Here they are searched on the support set while
    adapting, with up to 32 items of each class, the votes for each item made by all other pairs; see ``searched``. An
    item's own class has a pair fewer without it, so that its votes are scaled up to the class's size.

    Its state is the support set and a query costs time in proportion to it.
    """

    Config = TipAdapterConfig
    config: TipAdapterConfig
    source = (
        "Zhang et al. 2022, Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification, arXiv 2207.09519"
    )

    def __init__(self, config: TipAdapterConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self.cache = Cache(shape.n_episodes, shape.key_dim, shape.n_way, Reservoir.of(shape, SETTING_BYTES))
        self.register_buffer("alpha", torch.ones(shape.n_episodes, 1, 1))
        self._sample: tuple[Sample, Classes] | None = None

    alpha: Tensor
    """``[episode, 1, 1]``, weight of the cache."""

    def observe(self, support: Support) -> None:
        """Keep keys and labels."""
        batch = Sample.of(support, self.shape.seed)
        self.cache.observe(support.keys, support.labels.unsqueeze(-1), support.mask, support.labels, batch.draw)
        before = [] if self._sample is None else [self._sample[0]]
        self._sample = Sample.joined([*before, batch]).lowest(self.shape.n_way), support.classes

    def solve(self) -> None:
        """Join the batches, and search what is not given."""
        self.cache.solve()
        if self._sample is None:
            return
        sample, classes = self._sample
        sizes = self.cache.sizes()
        own = one_hot(sample.labels, self.shape.n_way) / (sizes - 1).clamp(min=1).unsqueeze(1)
        mask = sample.mask & (sizes.gather(1, sample.labels) > 1)

        def cached(beta: Tensor) -> Tensor:
            self.cache.beta = beta
            return (1 + own).to(beta.dtype) * self.cache.read(sample.keys, sample.draw)

        zero_shot = self.backbone.class_logits(sample.prior, classes)
        self.alpha, self.cache.beta = searched(self.config, zero_shot, cached, sample, mask)
        self.notes |= chosen_settings(self.config, self.alpha, self.cache.beta)
        self.cache.forget_draws()
        self._sample = None

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
