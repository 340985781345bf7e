"""Nearest class mean by cosine, with SimpleShot's centring if wanted."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from bench.contracts import (
    Backbone,
    EmbeddingUse,
    ForwardMethod,
    MethodConfig,
    ProblemShape,
    Query,
    Support,
    Tune,
)
from methods._held_out import Sample, StreamedSample
from methods._moments import class_indicator, class_sizes, class_sums
from methods._pairs import without_padding
from methods._prior import PriorConfig, PriorTerm, use_of_prior


class NearestMeanConfig(PriorConfig):
    """Hyper-parameters of the nearest class mean."""

    centre: Annotated[bool, Tune()] = Field(
        default=False,
        description="SimpleShot's CL2N: subtract the mean of the support set, then scale to length 1.",
    )


class NearestMean(ForwardMethod):
    """Scores are cosines between a query and the mean of each class; -1, the least, for a class without examples.

    With ``centre``, keys are taken relative to the mean of the support set; SimpleShot uses the mean of a base set of
    other classes, which there is none of here. Each example is scaled to length 1 before it is averaged, so the
    mean has to be known first: adapting keeps all keys until then. Without ``centre`` it keeps class sums.
    The state is one mean per class, and the centre. By default there is no prior in the scores; see PriorTerm. Its
    weight is chosen by scores of support items whose own class mean is that of the others, around the same centre.
    """

    Config = NearestMeanConfig
    config: NearestMeanConfig
    source = (
        "Wang et al. 2019, SimpleShot, arXiv 1911.04623; Snell et al. 2017, Prototypical Networks, arXiv 1703.05175"
    )

    def __init__(self, config: NearestMeanConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        # Not buffers: sums stay in float64 while observing and are forgotten in solve, as kept keys are.
        self._sums: Tensor | None = None
        self._kept: list[Support] = []
        self._sizes = torch.zeros(shape.n_episodes, shape.n_way, dtype=torch.float64)
        self._sample = StreamedSample(shape.n_way)
        self.prior_term = PriorTerm(config, backbone, shape)
        self.register_buffer("centre", torch.zeros(shape.n_episodes, 1, shape.key_dim if config.centre else 0))
        self.register_buffer("means", torch.zeros(shape.n_episodes, shape.n_way, shape.key_dim))
        self.register_buffer("seen", torch.zeros(shape.n_episodes, shape.n_way, dtype=torch.bool))

    centre: Tensor
    """``[episode, 1, dim_k]``, or width 0."""
    means: Tensor
    """``[episode, way, dim_k]``, of length 1."""
    seen: Tensor
    """``[episode, way]``: whether a class has examples."""

    @classmethod
    def embedding_use(cls, config: MethodConfig) -> EmbeddingUse:
        """None without a prior."""
        return use_of_prior(config)

    def observe(self, support: Support) -> None:
        """Add the batch to the class sums, or keep it if the centre has to come first."""
        if self.prior_term.used:
            self._sample.add(Sample.of(support, self.shape.seed))
            self._classes = support.classes
        if self.config.centre:
            self._kept.append(support)
        else:
            self._add(support)

    def solve(self) -> None:
        """Find the centre, if wanted, then the means."""
        if self._kept:
            keys = [without_padding(support.keys, support.mask).double() for support in self._kept]
            total = torch.stack([part.sum(dim=1) for part in keys]).sum(dim=0)
            count = torch.stack([support.mask.sum(dim=1) for support in self._kept]).sum(dim=0)
            self.centre = (total / count.clamp(min=1).unsqueeze(-1)).unsqueeze(1).float()
            for support in self._kept:
                self._add(support)
            self._kept.clear()
        if self._sums is not None:
            # Only the direction of a class mean matters to a cosine, so that the sum serves as well.
            self.means = normalize(self._sums, dim=-1).float()
            self._fit_prior(self._sums)
            self._sums = None

    def predict(self, query: Query) -> Tensor:
        """Cosines ``[episode, item, way]``, and the prior's logits where they are wanted."""
        return self.prior_term.add(self._cosines(query.keys), query)

    def _cosines(self, keys: Tensor) -> Tensor:
        return (self._scaled(keys) @ self.means.mT).masked_fill(~self.seen.unsqueeze(1), -1.0)

    def _fit_prior(self, sums: Tensor) -> None:
        if not self._sample:
            return
        sample, classes = self._sample.lowest(), self._classes
        scores = self._cosines(sample.keys)
        others: Tensor | None = None
        mask: Tensor | None = None
        if self.prior_term.searched:
            indicator = class_indicator(sample.labels, sample.mask, self.shape.n_way)
            keys = self._scaled(sample.keys).double()
            own = normalize(indicator @ sums - keys, dim=-1).mul(keys).sum(dim=-1, keepdim=True)
            others = scores.where(indicator == 0, own.to(scores.dtype))
            mask = sample.mask & (self._sizes.gather(1, sample.labels) > 1)
        self.prior_term.fit(slice(None), sample, classes, self._sizes.sum(dim=1), scores, others, mask)
        self.notes |= self.prior_term.notes()
        self._sample = StreamedSample(self.shape.n_way)

    def _add(self, support: Support) -> None:
        keys = self._scaled(without_padding(support.keys, support.mask)).double()
        sizes = class_sizes(support.labels, support.mask, self.shape.n_way)
        self.seen |= sizes > 0
        self._sizes = self._sizes.to(sizes.device) + sizes
        sums = class_sums(keys, support.labels, support.mask, self.shape.n_way)
        self._sums = sums if self._sums is None else self._sums + sums

    def _scaled(self, keys: Tensor) -> Tensor:
        return normalize(keys - self.centre, dim=-1) if self.config.centre else normalize(keys, dim=-1)


PLUGIN = NearestMean
