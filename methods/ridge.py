"""Ridge regression from features, or RanPAC's random projections of them, to one-hot labels."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import relu

from bench.contracts import Backbone, ForwardMethod, LeaveOneOut, MethodConfig, ProblemShape, Query, Support, Tune
from bench.toolkit.leave_one_out import LeftOut
from methods._held_out import Sample
from methods._moments import Moments, Observed, Part, class_indicator

LAMBDAS = tuple(10.0**power for power in range(-8, 9))


class RidgeConfig(MethodConfig):
    """Hyper-parameters of ridge regression."""

    lam: Annotated[float | None, Tune(1e-8, 1e8, log=True)] = Field(
        default=None, gt=0, le=1e12, description="Strength of the penalty; by default chosen from 1e-8 to 1e8."
    )
    random_features: int = Field(
        default=0,
        ge=0,
        le=20_000,
        description="Width of RanPAC's random ReLU features, 0 for the keys themselves. The paper's 10,000 take "
        "some GB and minutes to fit where there are as many examples.",
    )


class Ridge(ForwardMethod):
    """``W = (G + lam I)^-1 Q`` with ``G = H^T H`` and ``Q = H^T L``; H are keys, or ``relu(keys R)`` with fixed R.

    lam has the least squared error on a fifth of each class, held out (up to 32 examples a class), and the
    fit is then repeated on all examples. With one example per class there is none to hold out, and
    leaving one out, its class is never predicted: the least error then goes with predicting nothing, that is
    with the largest lam. So that is what it takes; W is then proportional to the class sums Q.

    Memory while adapting does not grow with the support set from H's width on. There is no prior in the scores.
    """

    Config = RidgeConfig
    config: RidgeConfig
    source = "McDonnell et al. 2023, RanPAC, arXiv 2307.02251; Hoerl and Kennard 1970"

    def __init__(self, config: RidgeConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        width = config.random_features or shape.key_dim
        projection = torch.randn(shape.key_dim, config.random_features, generator=shape.generator())
        # A part of the state: a query has to pass through it.
        self.register_buffer("projection", projection)
        self.register_buffer("weights", torch.zeros(shape.n_episodes, width, shape.n_way))
        self._observed = Observed(shape, width, self._features)

    projection: Tensor
    """``[dim_k, random_features]``, the same for all episodes."""
    weights: Tensor
    """``[episode, width, way]``."""

    def observe(self, support: Support) -> None:
        """Add the batch to the moments, or keep its keys while they are fewer numbers."""
        self._observed.observe(support)

    def solve(self) -> None:
        """Choose lam, then fit all examples."""
        for part in self._observed.parts():
            lam = self._chosen(part) if self.config.lam is None else part.everything.count.new_tensor(self.config.lam)
            values, basis, projected = _diagonal(part.everything)
            weights = basis.mT @ (projected / (values + lam.view(-1, 1)).unsqueeze(-1))
            self.weights[part.episodes] = weights.float()
        self._observed = Observed(self.shape, self.weights.shape[1], self._features)

    def predict(self, query: Query) -> Tensor:
        """The regression's outputs ``[episode, item, way]``."""
        return self._features(query.keys) @ self.weights

    @classmethod
    def leave_one_out(cls, backbone: Backbone, shape: ProblemShape, support: Support) -> "RidgeTrials":
        """One factorisation for every lam."""
        return RidgeTrials(shape, support)

    def _features(self, keys: Tensor) -> Tensor:
        return relu(keys @ self.projection) if self.config.random_features else keys

    def _chosen(self, part: Part) -> Tensor:
        """``[episode]``: the lam of least squared error on what is held out; the largest where nothing is."""
        held = part.held_out
        target = class_indicator(held.labels, held.mask, self.shape.n_way)
        values, basis, projected = _diagonal(part.training)
        features = (self._features(held.keys).double() * held.mask.unsqueeze(-1)) @ basis.mT
        errors = [
            (features @ (projected / (values + lam).unsqueeze(-1)) - target).square().sum(dim=(1, 2)) for lam in LAMBDAS
        ]
        lams = values.new_tensor(LAMBDAS)
        best = lams[torch.stack(errors).argmin(dim=0)]
        return best.where(held.mask.any(dim=1), lams[-1])


def _diagonal(moments: Moments) -> tuple[Tensor, Tensor, Tensor]:
    """One decomposition for all lam: eigenvalues ``[E, r]`` and -vectors ``[E, r, d]`` of G, and Q in them."""
    spectrum = moments.spectrum()
    return spectrum.eigenvalues, spectrum.basis, spectrum.basis @ moments.cross


class RidgeTrials(LeaveOneOut[RidgeConfig]):
    """Every lam on one support set, each example left out exactly; see LeftOut.ridge."""

    def __init__(self, shape: ProblemShape, support: Support) -> None:
        sample = Sample.of(support, shape.seed)
        indicator = class_indicator(sample.labels, sample.mask, shape.n_way)
        keys, sizes = sample.keys.double(), indicator.sum(dim=1)
        moments = Moments.of(keys, indicator, summed=keys.shape[1] >= keys.shape[2])
        self._left_out = LeftOut.of(moments.spectrum(), moments.cross, keys, indicator)
        self.labels, self.mask = sample.labels, sample.mask & (sizes.gather(1, sample.labels) > 1)

    def serves(self, config: RidgeConfig) -> bool:
        """Whether lam is a number, and features are the keys themselves."""
        return config.lam is not None and config.random_features == 0

    def scores(self, config: RidgeConfig) -> Tensor:
        """Scores ``[episode, item, way]``. Raises ValueError for a config that it does not serve."""
        if config.lam is None or config.random_features:
            raise ValueError(f"leaving one out needs lam and no random features, got {config}")
        return self._left_out.ridge(self.labels.new_full((len(self.labels),), config.lam, dtype=torch.float64)).float()


PLUGIN = Ridge
