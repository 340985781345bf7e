"""FAAST: all pairs compiled in closed form into one matrix of fast weights, mixed with the prior."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from bench.contracts import (
    AssociativeConfig,
    AssociativeMethod,
    Backbone,
    Classes,
    LeaveOneOut,
    Memory,
    ProblemShape,
    Support,
    Tune,
)
from bench.toolkit.least_squares import KeySums, Spectrum, dual_factors, dual_weights, primal_weights
from methods._held_out import Sample
from methods._left_out import FastWeightsLeftOut, most_likely
from methods._moments import class_indicator
from methods._pairs import joined, without_padding

Solver = Literal["exact", "pinv"]
Auto = Literal["auto"]
Count = Annotated[float, Field(ge=0)]
Exponent = Annotated[float, Field(ge=0, le=4)]
ALPHA = 0.8
"""The published exponent."""
ALPHAS = (*(tenths / 10 for tenths in range(1, 13)), 1.5, 2.0)
PRIOR_STRENGTHS = (0.0, *(10 ** (halves / 2) for halves in range(9)))
"""What ``auto`` chooses from; cut-offs lie densest where singular values of features do."""


class FaastConfig(AssociativeConfig):
    """Hyper-parameters of FAAST; ``auto`` is chosen for each episode from its support set, see FastWeightsLeftOut."""

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


class FastWeights(Memory):
    """The least-squares map ``W = V^T pinv(K)^T [dim_v, dim_k]`` of each episode (arXiv 2605.04651).

    n_items: pairs an episode will give at most. It decides how the exact solver works: from
    ``dim_k`` on, it sums ``K^T K`` and ``K^T V`` batch by batch and keeps no pair; below, it keeps
    the pairs, which are then fewer numbers than the sums. The solver ``pinv`` always keeps them.

    alpha: one for all episodes, or ``[episode]``; it may be set until ``solve``.

    After ``solve`` the state is float32, in the smaller of two exact forms: W itself, or a product of
    two factors of it. An episode without pairs answers 0.
    """

    def __init__(
        self,
        n_episodes: int,
        key_dim: int,
        value_dim: int,
        *,
        n_items: int,
        alpha: float | Tensor = ALPHA,
        solver: Solver = "exact",
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.solver = solver
        self.streams = solver == "exact" and n_items >= key_dim
        # What observe gathers is neither state nor to be cast with it, hence no buffers.
        self._count: Tensor | None = None
        self._sums = KeySums()
        self._pairs: list[tuple[Tensor, Tensor]] = []
        self.register_buffer("weights", torch.zeros(n_episodes, value_dim, 0))
        self.register_buffer("basis", torch.zeros(n_episodes, 0, key_dim))

    weights: Tensor
    """``[episode, dim_v, rank]``, or all of W, ``[episode, dim_v, dim_k]``, where there is no basis."""
    basis: Tensor | None
    """``[episode, rank, dim_k]``: the directions of key space that ``weights`` maps."""

    def observe(self, keys: Tensor, values: Tensor, mask: Tensor) -> None:
        """Add the batch to the sums, or keep it, leaving padding out."""
        keys, values = without_padding(keys, mask), without_padding(values, mask)
        count = mask.sum(dim=1)
        self._count = count if self._count is None else self._count + count
        if not self.streams:
            self._pairs.append((keys, values))
            return
        self._sums.add(keys, values)

    def spectrum(self) -> tuple[Spectrum, Tensor]:
        """The spectrum of what was observed, and ``K^T V [E, d, v]``. Raises ValueError before the first pair."""
        if self._sums or not self._pairs:
            return Spectrum.of_gram(self._sums.gram), self._sums.cross
        keys, values = (joined(parts).double() for parts in zip(*self._pairs, strict=True))
        fewer = keys.shape[1] < keys.shape[2]
        return Spectrum.of_rows(keys) if fewer else Spectrum.of_gram(keys.mT @ keys), keys.mT @ values

    def solve(self) -> None:
        """Compile what was observed and forget it."""
        if self._count is None:
            return
        # Of an empty episode all singular values are 0 and below any cut-off; N = 1 keeps the cut-off finite.
        rtol = self._count.clamp(min=1).double() ** -self.alpha
        basis: Tensor | None = None
        if self._sums:
            weights = primal_weights(self._sums.gram, self._sums.cross, rtol)
        else:
            keys, values = (joined(parts) for parts in zip(*self._pairs, strict=True))
            if self.solver == "pinv":
                weights = _published_weights(keys, values, rtol)
            else:
                weights, basis = _smaller_form(keys, values, rtol)
        self.weights = weights.float()
        self.basis = None if basis is None else basis.float()
        self._count, self._sums = None, KeySums()
        self._pairs.clear()

    def read(self, keys: Tensor) -> Tensor:
        """``W x`` for each of ``keys [episode, item, dim_k]``; its cost does not depend on the number of pairs."""
        projected = keys if self.basis is None else keys @ self.basis.mT
        return projected @ self.weights.mT


def _published_weights(keys: Tensor, values: Tensor, rtol: Tensor) -> Tensor:
    """``W [E, dim_v, dim_k]`` by the published route: one float32 pseudo-inverse of the keys ``[E, N, dim_k]``."""
    rtol = rtol.to(keys.dtype)
    inverse: Tensor = torch.linalg.pinv(keys, atol=torch.zeros_like(rtol), rtol=rtol)
    return values.mT @ inverse.mT


def _smaller_form(keys: Tensor, values: Tensor, rtol: Tensor) -> tuple[Tensor, Tensor | None]:
    """W itself, or two factors of it where these can be fewer numbers; see dual_weights for the shapes."""
    n_items, dim, width = keys.shape[1], keys.shape[2], values.shape[2]
    if width * dim <= n_items * (width + dim):
        return dual_weights(keys.double(), values.double(), rtol), None
    coefficients, basis = dual_factors(keys.double(), values.double(), rtol)
    return coefficients.mT.contiguous(), basis


class Faast(AssociativeMethod):
    """Forward-only associative learning: one closed-form solve, and queries at a cost independent of N."""

    linear_in_values = True
    Config = FaastConfig
    config: FaastConfig
    source = "Bao et al., FAAST: Forward-Only Associative Learning via Closed-Form Fast Weights, arXiv 2605.04651"
    memory: FastWeights

    def __init__(self, config: FaastConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._auto = "auto" in {config.prior_strength, config.alpha}
        self._observed: tuple[Tensor, Sample, Classes] | None = None
        if config.prior_strength == "auto":
            del self.prior_strength
            # A part of the state, which answering needs: one for each episode.
            self.register_buffer("prior_strength", torch.full((shape.n_episodes,), shape.prior_strength))

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
        super().observe(support)
        if not self._auto:
            return
        sizes = class_indicator(support.labels, support.mask, self.shape.n_way).sum(dim=1).long()
        kept = Sample.of(support, self.shape.seed)
        if self._observed is not None:
            sizes, kept = sizes + self._observed[0], Sample.joined([self._observed[1], kept])
        self._observed = sizes, kept.lowest(self.shape.n_way) if self.memory.streams else kept, support.classes

    def solve(self) -> None:
        """Choose what is ``auto``, then compile the pairs."""
        if self._observed is not None:
            self._choose(self.left_out())
            self._observed = None
        super().solve()

    def left_out(self) -> FastWeightsLeftOut:
        """Answers for the examples observed, each left out; before ``solve``, and only where something is ``auto``."""
        if self._observed is None:
            raise ValueError("examples are kept to be left out only where alpha or prior_strength is auto")
        sizes, sample, classes = self._observed
        stored = class_indicator(sample.labels, sample.mask, self.shape.n_way)
        if not self.stores_labels:
            stored = stored @ classes.class_embeddings.double()
        class_embeddings = classes.class_embeddings if self.stores_labels else None
        return FastWeightsLeftOut(
            *self.memory.spectrum(), sample, stored, sizes, self.backbone, classes, class_embeddings
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
        return FaastTrials(cls(FaastConfig(alpha="auto"), backbone, shape), support)


class FaastTrials(LeaveOneOut[FaastConfig]):
    """Trials on one support set; see FastWeightsLeftOut for what they compute."""

    def __init__(self, method: Faast, support: Support) -> None:
        method.observe(support)
        self._left_out, self._default = method.left_out(), method.shape.prior_strength
        self.labels, self.mask = self._left_out.labels, self._left_out.mask

    def serves(self, config: FaastConfig) -> bool:
        """Whether both are numbers, and the solver the exact one."""
        return "auto" not in {config.alpha, config.prior_strength} and config.solver == "exact"

    def scores(self, config: FaastConfig) -> Tensor:
        """Scores ``[episode, item, way]``. Raises ValueError for a config that it does not serve."""
        if config.alpha == "auto" or config.prior_strength == "auto" or config.solver != "exact":
            raise ValueError(f"leaving one out needs numbers and the exact solver, got {config}")
        return self._left_out.scores(
            config.alpha, self._default if config.prior_strength is None else config.prior_strength
        )


PLUGIN = Faast
