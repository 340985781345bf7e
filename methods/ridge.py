"""Ridge regression: the least-squares map of the support pairs with a penalty on its size."""

from typing import Annotated, Any

import torch
from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError
from torch import Tensor
from torch.nn.functional import relu

from bench.contracts import (
    Backbone,
    EmbeddingUse,
    ForwardMethod,
    LeaveOneOut,
    Memory,
    MethodConfig,
    MultiSiteMethod,
    ProblemShape,
    Query,
    Support,
    Tune,
)
from bench.toolkit.hidden_states import HiddenStateConfig, HiddenStateMethod
from bench.toolkit.least_squares import KeySums
from bench.toolkit.leave_one_out import LeftOut
from bench.toolkit.ridge import penalties, ridge_of_gram, shrunk
from methods._held_out import Sample
from methods._moments import Moments, Observed, Part, class_indicator
from methods._pairs import without_padding
from methods._prior import PriorConfig, PriorTerm, use_of_prior

LAMBDAS = tuple(10.0**power for power in range(-8, 9))
STRENGTH = 1e-2
"""The default penalty on hidden states, as a share of the mean eigenvalue."""


class RidgeConfig(MethodConfig):
    """Hyper-parameters of ridge regression at both sites; at most one of ``lam`` and ``strength`` is given."""

    lam: float | None = Field(default=None, gt=0, le=1e12, description="The penalty on squared weights.")
    strength: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        description="The penalty as a share of the mean eigenvalue trace(K^T K) / d, whose size differs from model to "
        "model.",
    )
    random_features: int = Field(
        default=0,
        ge=0,
        le=20_000,
        description="On features, the width of RanPAC's random ReLU features, 0 for the keys themselves. The paper's "
        "10,000 take some GB and minutes to fit where there are as many examples.",
    )

    @field_validator("strength")
    @classmethod
    def _one_penalty(cls, strength: float | None, info: ValidationInfo) -> float | None:
        if strength is not None and info.data.get("lam") is not None:
            raise PydanticCustomError("penalty", "lam and strength are two ways to give one penalty, use one of them")
        return strength


class RidgeOnFeaturesConfig(RidgeConfig, PriorConfig):
    """Hyper-parameters of ridge regression on features."""

    lam: Annotated[float | None, Tune(1e-8, 1e8, log=True)] = Field(
        default=None,
        gt=0,
        le=1e12,
        description="The penalty on squared weights; without lam and strength it is chosen from 1e-8 to 1e8.",
    )


class RidgeOnHiddenStatesConfig(RidgeConfig, HiddenStateConfig):
    """Hyper-parameters of ridge regression on hidden states."""

    strength: Annotated[float | None, Tune(1e-6, 1e2, log=True)] = Field(
        default=STRENGTH,
        gt=0,
        le=1e6,
        description="The penalty as a share of the mean eigenvalue trace(K^T K) / d, whose size differs from model to "
        "model; 0.01 where lam is not given either.",
    )

    @model_validator(mode="before")
    @classmethod
    def _lam_replaces_the_default(cls, values: Any) -> Any:
        given = isinstance(values, dict) and values.get("lam") is not None
        return {"strength": None, **values} if given else values

    @field_validator("random_features")
    @classmethod
    def _no_random_features(cls, width: int) -> int:
        if width:
            raise PydanticCustomError("site", "random features need site=features, leave them out or change the site")
        return width


class RidgeOnFeatures(ForwardMethod):
    """``W = (G + lam I)^-1 Q`` with ``G = H^T H`` and ``Q = H^T L``: H are keys, or ``relu(keys R)`` with fixed R.

    L are one-hot labels. Without ``lam`` and ``strength``, lam has the least squared error on a fifth of each class,
    held out (up to 32 examples a class), and the fit is then repeated on all examples. With one example per class
    there is none to hold out, and leaving one out, its class is never predicted: the least error then goes with
    predicting nothing, that is with the largest lam. So that is what it takes; W is then proportional to the class
    sums Q.

    Memory while adapting does not grow with the support set from H's width on. By default there is no prior in the
    scores; see PriorTerm. Its weight is chosen at that lam by leaving each item out, in closed form.
    """

    Config = RidgeOnFeaturesConfig
    config: RidgeOnFeaturesConfig
    source = "McDonnell et al. 2023, RanPAC, arXiv 2307.02251; Hoerl and Kennard 1970"

    def __init__(self, config: RidgeOnFeaturesConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        width = config.random_features or shape.key_dim
        projection = torch.randn(shape.key_dim, config.random_features, generator=shape.generator())
        # A part of the state: a query has to pass through it.
        self.register_buffer("projection", projection)
        self.register_buffer("weights", torch.zeros(shape.n_episodes, width, shape.n_way))
        self._observed = Observed(shape, width, self._features)
        self.prior_term = PriorTerm(config, backbone, shape)

    @classmethod
    def shares_draws(cls, config: MethodConfig) -> bool:
        """True with random features, which are one projection for all episodes."""
        return bool(getattr(config, "random_features", 0))

    @classmethod
    def embedding_use(cls, config: MethodConfig) -> EmbeddingUse:
        """None without a prior."""
        return use_of_prior(config)

    projection: Tensor
    """``[dim_k, random_features]``, the same for all episodes."""
    weights: Tensor
    """``[episode, width, way]``."""

    def observe(self, support: Support) -> None:
        """Add the batch to the moments, or keep its keys while they are fewer numbers."""
        self._observed.observe(support)
        self._classes = support.classes

    def solve(self) -> None:
        """Choose the penalty, fit all examples, then weigh the prior."""
        for part in self._observed.parts():
            lam = self._penalties(part)
            self.weights[part.episodes] = part.everything.ridge(lam).float()
            if self.prior_term.used:
                self._fit_prior(part, lam)
        self.notes |= self.prior_term.notes()
        self._observed = Observed(self.shape, self.weights.shape[1], self._features)

    def predict(self, query: Query) -> Tensor:
        """The regression's outputs ``[episode, item, way]``, and the prior's logits where they are wanted."""
        return self.prior_term.add(self._features(query.keys) @ self.weights, query)

    @classmethod
    def leave_one_out(cls, backbone: Backbone, shape: ProblemShape, support: Support) -> "RidgeTrials":
        """One factorisation for every lam."""
        return RidgeTrials(shape, support)

    def _features(self, keys: Tensor) -> Tensor:
        return relu(keys @ self.projection) if self.config.random_features else keys

    def _fit_prior(self, part: Part, lam: Tensor) -> None:
        sample, sizes = part.sample, part.everything.count
        features = self._features(sample.keys)
        others: Tensor | None = None
        mask: Tensor | None = None
        if self.prior_term.searched:
            target = class_indicator(sample.labels, sample.mask, self.shape.n_way)
            left_out = LeftOut.of(part.everything.spectrum(), part.everything.cross, features.double(), target)
            others, mask = left_out.ridge(lam).float(), sample.mask & (sizes.gather(1, sample.labels) > 1)
        scores = features @ self.weights[part.episodes]
        self.prior_term.fit(part.episodes, sample, self._classes, sizes.sum(dim=1), scores, others, mask)

    def _penalties(self, part: Part) -> Tensor:
        """``[episode]``: the penalty that is given, or the one chosen."""
        config = self.config
        if config.lam is None and config.strength is None:
            return self._chosen(part)
        return penalties(part.everything.trace / self.weights.shape[1], config.lam, config.strength)

    def _chosen(self, part: Part) -> Tensor:
        """``[episode]``: the lam of least squared error on what is held out; the largest where nothing is."""
        held = part.held_out
        target = class_indicator(held.labels, held.mask, self.shape.n_way)
        spectrum = part.training.spectrum()
        projected = spectrum.basis @ part.training.cross
        features = (self._features(held.keys).double() * held.mask.unsqueeze(-1)) @ spectrum.basis.mT
        lams = projected.new_tensor(LAMBDAS)
        errors = [(features @ shrunk(spectrum, projected, lam) - target).square().sum(dim=(1, 2)) for lam in lams]
        best = lams[torch.stack(errors).argmin(dim=0)]
        return best.where(held.mask.any(dim=1), lams[-1])


class RidgeTrials(LeaveOneOut[RidgeOnFeaturesConfig]):
    """Every lam on one support set, each example left out exactly; see LeftOut.ridge."""

    def __init__(self, shape: ProblemShape, support: Support) -> None:
        sample = Sample.of(support, shape.seed)
        indicator = class_indicator(sample.labels, sample.mask, shape.n_way)
        keys, sizes = sample.keys.double(), indicator.sum(dim=1)
        summed = keys.shape[1] >= keys.shape[2]
        moments = Moments.of(keys, sample.labels, sample.mask, shape.n_way, summed=summed)
        self._left_out = LeftOut.of(moments.spectrum(), moments.cross, keys, indicator)
        self.labels, self.mask = sample.labels, sample.mask & (sizes.gather(1, sample.labels) > 1)

    def serves(self, config: RidgeOnFeaturesConfig) -> bool:
        """Whether lam is a number, features are the keys themselves, and there is no prior in the scores."""
        return config.lam is not None and config.random_features == 0 and config.prior == "none"

    def scores(self, config: RidgeOnFeaturesConfig) -> Tensor:
        """Scores ``[episode, item, way]``. Raises ValueError for a config that it does not serve."""
        if config.lam is None or not self.serves(config):
            raise ValueError(f"leaving one out needs lam, no random features and no prior, got {config}")
        return self._left_out.ridge(self.labels.new_full((len(self.labels),), config.lam, dtype=torch.float64)).float()


class RidgeMemory(Memory):
    """``W = V^T K (K^T K + lam I)^-1``, with lam given or ``lam = strength * trace(K^T K) / d``, solved in float64.

    It sums over pairs and keeps none; an episode without pairs answers 0.
    """

    def __init__(self, n_episodes: int, key_dim: int, value_dim: int, config: RidgeConfig) -> None:
        super().__init__()
        self.config = config
        self._sums = KeySums()
        self.register_buffer("weights", torch.zeros(n_episodes, value_dim, key_dim))

    weights: Tensor
    """``[episode, dim_v, dim_k]``."""

    def observe(self, keys: Tensor, values: Tensor, mask: Tensor) -> None:
        """Add the batch to the sums, leaving padding out."""
        self._sums.add(without_padding(keys, mask), without_padding(values, mask))

    def solve(self) -> None:
        """Fit all pairs and forget the sums."""
        if not self._sums:
            return
        gram = self._sums.gram
        mean_eigenvalue = gram.diagonal(dim1=-2, dim2=-1).mean(dim=-1)
        lam = penalties(mean_eigenvalue, self.config.lam, self.config.strength)
        self.weights = ridge_of_gram(gram, self._sums.cross, lam).mT.float()
        self._sums = KeySums()

    def read(self, keys: Tensor) -> Tensor:
        """``W x`` for each of ``keys [episode, item, dim_k]``."""
        return keys @ self.weights.mT


class RidgeOnHiddenStates(HiddenStateMethod):
    """Ridge maps before some blocks and before the final norm; see HiddenStateMethod for keys and values.

    FAAST drops the directions of key space that the support text hardly has; ridge shrinks them.
    """

    Config = RidgeOnHiddenStatesConfig
    config: RidgeOnHiddenStatesConfig
    source = "Hoerl and Kennard 1970, Ridge Regression: Biased Estimation for Nonorthogonal Problems"

    def make_memory(self, width: int) -> Memory:
        """Empty sums."""
        return RidgeMemory(1, width, width, self.config)


class Ridge(MultiSiteMethod):
    """``W = (K^T K + lam I)^-1 K^T V``, the same estimator at both sites; V are labels, or what follows a state."""

    features = RidgeOnFeatures
    hidden_states = RidgeOnHiddenStates


PLUGIN = Ridge
