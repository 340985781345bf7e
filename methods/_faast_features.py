"""FAAST on features: fast weights mixed with the prior, with exponent and prior strength chosen by leave-one-out."""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from bench.contracts import (
    AssociativeConfig,
    AssociativeMethod,
    Backbone,
    LeaveOneOut,
    ProblemShape,
    Support,
    Tune,
)
from methods._fast_weights import ALPHA, FastWeights, Solver
from methods._held_out import Sample, StreamedSample
from methods._left_out import FastWeightsLeftOut, most_likely
from methods._moments import adds_by_class, class_indicator, class_sizes
from methods._prior_strength import PRIOR_STRENGTHS, Auto, Count, with_own_prior_strengths

Exponent = Annotated[float, Field(ge=0, le=4)]
ALPHAS = (*(tenths / 10 for tenths in range(1, 13)), 1.5, 2.0)
"""What ``auto`` chooses from; cut-offs lie densest where singular values of features do."""


class FaastOnFeaturesConfig(AssociativeConfig):
    """Hyper-parameters of FAAST on features; ``auto`` is chosen from each support set, see FastWeightsLeftOut."""

    # Wider than the base's field, which is given a number in the place of ``auto``.
    prior_strength: Annotated[Count | Auto | None, Tune(0.1, 1e4, log=True)] = Field(  # type: ignore[assignment]
        default=None,
        description="Examples that the frozen model's own answer is worth; by default the task's or backbone's value. "
        "auto: the likeliest from 0 to 10,000 when each example is left out.",
    )
    alpha: Annotated[Exponent | Auto, Tune(0.1, 2.0)] = Field(
        default=ALPHA,
        description="Drops directions whose singular value is below N ** -alpha of the largest; N counts examples. "
        "auto: the likeliest from 0.1 to 2 when each example is left out.",
    )
    solver: Solver = Field(
        default="exact",
        description="exact: Gram matrices in float64. pinv: the published float32 pseudo-inverse of all keys.",
    )


class FaastOnFeatures(AssociativeMethod):
    """Fast weights of the support set: one closed-form solve, and queries at a cost independent of N."""

    linear_in_values = True
    Config = FaastOnFeaturesConfig
    config: FaastOnFeaturesConfig
    source = "Bao et al., FAAST: Forward-Only Associative Learning via Closed-Form Fast Weights, arXiv 2605.04651"
    memory: FastWeights

    def __init__(self, config: FaastOnFeaturesConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._auto = "auto" in {config.prior_strength, config.alpha}
        self._sample = StreamedSample(shape.n_way)
        self._batches: list[Sample] = []
        self._sizes: Tensor | int = 0
        if config.prior_strength == "auto":
            with_own_prior_strengths(self)

    def make_memory(self) -> FastWeights:
        """Empty fast weights for the problem's shapes."""
        shape, config = self.shape, self.config
        return FastWeights(
            shape.n_episodes,
            shape.key_dim,
            self.memory_dim,
            n_items=shape.n_support,
            alpha=ALPHA if config.alpha == "auto" else config.alpha,
            solver=config.solver,
        )

    def observe(self, support: Support) -> None:
        """Pass the batch on to the memory; what is chosen by leaving examples out needs these themselves."""
        if self.memory.streams and adds_by_class(support.keys, self.shape.n_way):
            class_values = None if self.stores_labels else support.classes.class_embeddings
            self.memory.observe_labels(support.keys, support.labels, support.mask, class_values)
            self.count += support.mask.sum(dim=1)
        else:
            super().observe(support)
        if not self._auto:
            return
        self._sizes = self._sizes + class_sizes(support.labels, support.mask, self.shape.n_way).long()
        self._classes = support.classes
        kept = Sample.of(support, self.shape.seed)
        if self.memory.streams:
            self._sample.add(kept)
        else:
            self._batches.append(kept)

    def solve(self) -> None:
        """Choose what is ``auto``, then compile the pairs."""
        if self._sample or self._batches:
            self._choose(self.left_out())
            self._sample, self._batches, self._sizes = StreamedSample(self.shape.n_way), [], 0
        super().solve()

    def left_out(self) -> FastWeightsLeftOut:
        """Answers for the examples observed, each left out; before ``solve``, and only where something is ``auto``."""
        if not (self._sample or self._batches):
            raise ValueError("examples are kept to be left out only where alpha or prior_strength is auto")
        assert isinstance(self._sizes, Tensor)
        sample, classes = self._sample.lowest() if self._sample else Sample.joined(self._batches), self._classes
        stored = class_indicator(sample.labels, sample.mask, self.shape.n_way)
        if not self.stores_labels:
            stored = stored @ classes.class_embeddings.double()
        class_embeddings = classes.class_embeddings if self.stores_labels else None
        return FastWeightsLeftOut(
            *self.memory.spectrum(), sample, stored, self._sizes, self.backbone, classes, class_embeddings
        )

    def _choose(self, left_out: FastWeightsLeftOut) -> None:
        """Where no example can be left out, as at one shot, alpha is the published one and the prior the default."""
        config = self.config
        alphas = ALPHAS if config.alpha == "auto" else (config.alpha,)
        prior_strengths = PRIOR_STRENGTHS if config.prior_strength == "auto" else (float(self.prior_strength),)
        alpha, prior_strength = most_likely(left_out, alphas, prior_strengths)
        possible = left_out.mask.any(dim=1)
        if config.alpha == "auto":
            self.memory.alpha = alpha.where(possible, ALPHA)
            self.notes["chosen_alpha"] = float(self.memory.alpha.median())
        if config.prior_strength == "auto":
            self.prior_strength = prior_strength.where(possible, self.shape.prior_strength).float()
            self.notes["chosen_prior_strength"] = float(self.prior_strength.median())

    @classmethod
    def leave_one_out(cls, backbone: Backbone, shape: ProblemShape, support: Support) -> "FaastTrials":
        """One factorisation for every alpha and prior count."""
        return FaastTrials(cls(FaastOnFeaturesConfig(alpha="auto"), backbone, shape), support)


class FaastTrials(LeaveOneOut[FaastOnFeaturesConfig]):
    """Trials on one support set; see FastWeightsLeftOut for what they compute."""

    def __init__(self, method: FaastOnFeatures, support: Support) -> None:
        method.observe(support)
        self._left_out, self._default = method.left_out(), method.shape.prior_strength
        self.labels, self.mask = self._left_out.labels, self._left_out.mask

    def serves(self, config: FaastOnFeaturesConfig) -> bool:
        """Whether both are numbers, and the solver the exact one."""
        return "auto" not in {config.alpha, config.prior_strength} and config.solver == "exact"

    def scores(self, config: FaastOnFeaturesConfig) -> Tensor:
        """Scores ``[episode, item, way]``. Raises ValueError for a config that it does not serve."""
        if config.alpha == "auto" or config.prior_strength == "auto" or config.solver != "exact":
            raise ValueError(f"leaving one out needs numbers and the exact solver, got {config}")
        return self._left_out.scores(
            config.alpha, self._default if config.prior_strength is None else config.prior_strength
        )
