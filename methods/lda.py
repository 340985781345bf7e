"""Linear discriminant analysis with a shrunk covariance."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from bench.contracts import (
    Backbone,
    EmbeddingUse,
    ForwardMethod,
    LeaveOneOut,
    MethodConfig,
    ProblemShape,
    Query,
    Support,
    Tune,
)
from methods._choice import chosen
from methods._discriminant import LEAST, LeftOutOfMeans, Scatter
from methods._held_out import Sample
from methods._moments import Moments, Observed, Part, class_indicator
from methods._pairs import joined, widened, without_padding
from methods._prior import PriorConfig, PriorTerm, use_of_prior

SHRINKAGES = (1e-3, 1e-2, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
"""What ``auto`` chooses from, beside Ledoit and Wolf's."""
Share = Annotated[float, Field(ge=LEAST, le=1)]


class LdaConfig(PriorConfig):
    """Hyper-parameters of linear discriminant analysis."""

    shrinkage: Annotated[Share | Literal["ledoit_wolf", "auto"], Tune(1e-3, 1.0, log=True)] = Field(
        default="ledoit_wolf",
        description="Share of the identity in the covariance, at the same trace. ledoit_wolf: the estimate of least "
        "expected squared error. auto: the likeliest from 0.001 to 1 when each example is left out, or that estimate.",
    )


class Lda(ForwardMethod):
    """``f S^-1 mu_c + log(n_c / N) - mu_c^T S^-1 mu_c / 2``: the Bayes classifier of Gaussians with one covariance.

    ``S = (1 - s) V / N + s tr(V) / (N d) I`` with the scatter V of N keys of width d around their class means mu_c, as
    scikit-learn's ``LinearDiscriminantAnalysis(solver="lsqr", shrinkage=s)`` has it. By default s is Ledoit and Wolf's
    estimate for keys around their class means; scikit-learn's ``shrinkage="auto"`` estimates it for each class by
    itself, on standardised numbers. Where keys stream, their fourth moments are those of up to 32 a class.

    With one example per class nothing scatters: S is then I / d, and the class with the nearest mean wins. A class
    without examples has the mean 0. Memory does not grow with the support set from dim_k examples on. By default there
    is no prior in the scores; see PriorTerm. Its weight is chosen by leaving each item out, in closed form.
    """

    Config = LdaConfig
    config: LdaConfig
    source = (
        "Fisher 1936, The Use of Multiple Measurements in Taxonomic Problems; Ledoit and Wolf 2004, A Well-conditioned "
        "Estimator for Large-dimensional Covariance Matrices"
    )

    def __init__(self, config: LdaConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self.register_buffer("weights", torch.zeros(shape.n_episodes, shape.key_dim, shape.n_way))
        self.register_buffer("bias", torch.zeros(shape.n_episodes, 1, shape.n_way))
        self.prior_term = PriorTerm(config, backbone, shape)
        self._leaves_out = config.shrinkage == "auto" or self.prior_term.used
        self._observed = Observed(shape, shape.key_dim, lambda keys: keys)
        self._kept: list[tuple[Tensor, Tensor]] = []

    weights: Tensor
    """``[episode, dim_k, way]``."""
    bias: Tensor
    """``[episode, 1, way]``."""

    @classmethod
    def embedding_use(cls, config: MethodConfig) -> EmbeddingUse:
        """None without a prior."""
        return use_of_prior(config)

    def observe(self, support: Support) -> None:
        """Add the batch to the moments, or keep its keys while they are fewer numbers."""
        self._classes = support.classes
        if self._leaves_out or self._observed.streams:
            self._observed.observe(support)
        else:
            indicator = class_indicator(support.labels, support.mask, self.shape.n_way)
            self._kept.append((without_padding(support.keys, support.mask), indicator))

    def solve(self) -> None:
        """Shrink the covariance, fit all examples, then weigh the prior."""
        found = []
        if self._kept:
            keys, indicator = (joined(parts) for parts in zip(*self._kept, strict=True))
            for part, rows in widened(keys):
                scatter = Scatter.of_rows(rows, indicator[part])
                found.append(self._fit(part, scatter, self._given(scatter)))
            self._kept.clear()
        for each in self._observed.parts():
            moments = each.everything
            scatter = Scatter.of(moments, each.sample)
            left_out = (
                LeftOutOfMeans(moments, moments.spectrum(centred=True), each.sample) if self._leaves_out else None
            )
            shrinkage = self._given(scatter)
            if left_out is not None and self.config.shrinkage == "auto":
                shrinkage = _likeliest(shrinkage, left_out, each.sample.labels)
            found.append(self._fit(each.episodes, scatter, shrinkage))
            if self.prior_term.used:
                self._fit_prior(each, left_out, shrinkage)
        if found and not isinstance(self.config.shrinkage, float):
            self.notes["chosen_shrinkage"] = float(torch.cat(found).median())
        self.notes |= self.prior_term.notes()
        self._observed = Observed(self.shape, self.shape.key_dim, lambda keys: keys)

    def predict(self, query: Query) -> Tensor:
        """Logarithms of posterior probabilities up to a constant, ``[episode, item, way]``, and the prior's logits."""
        return self.prior_term.add(torch.baddbmm(self.bias, query.keys, self.weights), query)

    @classmethod
    def leave_one_out(cls, backbone: Backbone, shape: ProblemShape, support: Support) -> "LdaTrials":
        """One factorisation for every shrinkage."""
        return LdaTrials(shape, support)

    def _given(self, scatter: Scatter) -> Tensor:
        """``[episode]``: the shrinkage that is given, or Ledoit and Wolf's."""
        given = self.config.shrinkage
        return torch.full_like(scatter.trace, given) if isinstance(given, float) else scatter.ledoit_wolf()

    def _fit(self, episodes: slice, scatter: Scatter, shrinkage: Tensor) -> Tensor:
        weights, squares = scatter.discriminant(shrinkage)
        sizes = scatter.count.clamp(min=1).unsqueeze(1)
        frequencies = sizes / scatter.count.sum(dim=1).clamp(min=1).view(-1, 1, 1)
        self.weights[episodes], self.bias[episodes] = weights.float(), (frequencies.log() - squares / 2).float()
        return shrinkage

    def _fit_prior(self, part: Part, left_out: LeftOutOfMeans | None, shrinkage: Tensor) -> None:
        sample, count = part.sample, part.everything.count.sum(dim=1)
        scores = torch.baddbmm(self.bias[part.episodes], sample.keys, self.weights[part.episodes])
        others = None if left_out is None else left_out.scores(shrinkage).float()
        mask = None if left_out is None else left_out.mask
        self.prior_term.fit(part.episodes, sample, self._classes, count, scores, others, mask)


def _likeliest(estimate: Tensor, left_out: LeftOutOfMeans, labels: Tensor) -> Tensor:
    """``[episode]``: the shrinkage that is likeliest when each example is left out, or the estimate."""
    shrinkages = [estimate, *(torch.full_like(estimate, each) for each in SHRINKAGES)]
    best = chosen((left_out.scores(each) for each in shrinkages), labels, left_out.mask, "likelihood")
    return torch.stack(shrinkages).gather(0, best.unsqueeze(0))[0]


class LdaTrials(LeaveOneOut[LdaConfig]):
    """Every shrinkage on one support set, each example left out exactly."""

    def __init__(self, shape: ProblemShape, support: Support) -> None:
        sample = Sample.of(support, shape.seed)
        keys, many = sample.keys.double(), sample.keys.shape[1] >= sample.keys.shape[2]
        moments = Moments.of(keys, sample.labels, sample.mask, shape.n_way, summed=many)
        self._left_out = LeftOutOfMeans(moments, moments.spectrum(centred=True), sample)
        self.labels, self.mask = sample.labels, self._left_out.mask

    def serves(self, config: LdaConfig) -> bool:
        """Whether the shrinkage is a number, and there is no prior in the scores."""
        return isinstance(config.shrinkage, float) and config.prior == "none"

    def scores(self, config: LdaConfig) -> Tensor:
        """Scores ``[episode, item, way]``. Raises ValueError for a config that it does not serve."""
        if not isinstance(config.shrinkage, float) or not self.serves(config):
            raise ValueError(f"leaving one out needs a number for the shrinkage and no prior, got {config}")
        return self._left_out.scores(
            self.mask.new_full((len(self.mask),), config.shrinkage, dtype=torch.float64)
        ).float()


PLUGIN = Lda
