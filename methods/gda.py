"""Gaussian discriminant analysis on the keys, added to the zero-shot logits (GDA-CLIP)."""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

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
from methods._choice import chosen
from methods._discriminant import Scatter
from methods._moments import Moments, Observed, Part
from methods._prior import spread

ALPHAS = tuple(10.0**power for power in range(-4, 3))
BOUNDS = (1e-4, 1e4)
"""Least and largest default; without a prior the discriminant decides alone."""


class GdaConfig(MethodConfig):
    """Hyper-parameters of GDA."""

    prior: Literal["mix", "none"] = Field(
        default="mix", description="mix: zero-shot logits and the discriminant, as published. none: the latter alone."
    )

    alpha: Annotated[float | None, Tune(1e-4, 1e2, log=True)] = Field(
        default=None,
        ge=0,
        le=1e4,
        description="Weight of the discriminant beside the zero-shot logits; by default chosen on the support set.",
    )


class Gda(ForwardMethod):
    """``class_logits(prior) + alpha (f w_c + b_c)``: the Bayes classifier of Gaussians with a shared covariance S.

    ``w_c = S^-1 mu_c``, ``b_c = -log C - mu_c^T S^-1 mu_c / 2`` with class means mu_c and the shrunk
    ``S^-1 = d ((N - 1) S + tr(S) I)^-1`` over N examples of width d. alpha is the best of the published seven by
    accuracy on a fifth of each class, held out (up to 32 examples a class); means and covariance are then fitted to
    all. The published code chooses it on a validation set besides, which is more than few examples can replace. So the
    default is ``N / N0`` at equal spread of both scores, N0 being the prior strength of the task or the backbone, and
    it stays unless another is better by more than a standard error (see ``methods._choice.chosen``). It also stays
    with one example per class, where nothing can be held out.

    With one example per class nothing scatters: S is then I / d, the widest that the covariance of unit vectors can be
    if it is the same in all directions.
    A class without examples has the mean 0. Memory does not grow with the support set from dim_k examples on.
    """

    Config = GdaConfig
    config: GdaConfig
    source = "Wang et al. 2024, A Hard-to-Beat Baseline for Training-free CLIP-based Adaptation, arXiv 2402.04087"

    def __init__(self, config: GdaConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self.register_buffer("weights", torch.zeros(shape.n_episodes, shape.key_dim, shape.n_way))
        self.register_buffer("bias", torch.zeros(shape.n_episodes, 1, shape.n_way))
        self._observed = Observed(shape, shape.key_dim, lambda keys: keys)

    weights: Tensor
    """``[episode, dim_k, way]``, times alpha."""
    bias: Tensor
    """``[episode, 1, way]``, times alpha."""

    @classmethod
    def embedding_use(cls, config: MethodConfig) -> EmbeddingUse:
        """Optional: without class embeddings the discriminant decides alone; unused without a prior."""
        return EmbeddingUse.UNUSED if getattr(config, "prior", None) == "none" else EmbeddingUse.OPTIONAL

    def observe(self, support: Support) -> None:
        """Add the batch to the moments, or keep its keys while they are fewer numbers."""
        self._observed.observe(support)
        self._classes = support.classes

    def solve(self) -> None:
        """Choose alpha, then fit all examples."""
        for part in self._observed.parts():
            weights, bias = _discriminant(part.everything)
            alpha = self._weight(part, weights, bias)
            self.weights[part.episodes] = (alpha.view(-1, 1, 1) * weights).float()
            self.bias[part.episodes] = (alpha.view(-1, 1, 1) * bias).float()
        self._observed = Observed(self.shape, self.shape.key_dim, lambda keys: keys)

    def predict(self, query: Query) -> Tensor:
        """Zero-shot and discriminant logits together, ``[episode, item, way]``."""
        discriminant = torch.baddbmm(self.bias, query.keys, self.weights)
        if self.config.prior == "none":
            return discriminant
        return self.backbone.class_logits(query.prior, query.classes) + discriminant

    def _weight(self, part: Part, weights: Tensor, bias: Tensor) -> Tensor:
        """``[episode]``, or one for all: the weight of the discriminant that is fitted to all examples."""
        if self.config.prior == "none":
            return weights.new_ones(())
        if self.config.alpha is not None:
            return weights.new_tensor(self.config.alpha)
        alpha = self._chosen(part, weights, bias)
        self.notes["chosen_alpha"] = float(alpha.median())
        return alpha

    def _chosen(self, part: Part, weights: Tensor, bias: Tensor) -> Tensor:
        """``[episode]``: the alpha of best accuracy on what is held out, or the default."""
        classes = Classes(self._classes.class_embeddings[part.episodes], self._classes.names[part.episodes])
        held, (without_held, its_bias) = part.held_out, _discriminant(part.training)
        zero_shot = self.backbone.class_logits(held.prior, classes).double()
        ours = held.keys.double() @ without_held + its_bias
        default = self._default(part, classes, weights, bias)
        alphas = [default, *(torch.full_like(default, alpha) for alpha in ALPHAS)]
        candidates = (zero_shot + alpha.view(-1, 1, 1) * ours for alpha in alphas)
        best = chosen(candidates, held.labels, held.mask, "accuracy")
        return torch.stack(alphas).gather(0, best.unsqueeze(0))[0]

    def _default(self, part: Part, classes: Classes, weights: Tensor, bias: Tensor) -> Tensor:
        """``[episode]``: N / N0 at equal spread of zero-shot logits and discriminant over the examples."""
        sample = part.sample
        ours = spread(sample.keys.double() @ weights + bias, sample.mask)
        theirs = spread(self.backbone.class_logits(sample.prior, classes).double(), sample.mask)
        count = part.everything.count.sum(dim=1)
        share = count / max(self.shape.prior_strength, 1e-12)
        return (share * (theirs / ours.clamp(min=1e-12)).flatten()).clamp(*BOUNDS)


def _discriminant(moments: Moments) -> tuple[Tensor, Tensor]:
    """``S^-1 mu [E, d, C]`` and biases ``[E, 1, C]`` in float64."""
    scatter = Scatter.of(moments)
    # With the scatter V = (N - 1) S and the shrinkage s = d / (d + N - 1), d ((N - 1) S + tr(S) I)^-1 is a multiple of
    # the inverse of (1 - s) V + s tr(V) / d I. Where nothing scatters, S is I / d in both.
    n_items, dim, n_way = moments.count.sum(dim=1).clamp(min=1), scatter.dim, moments.count.shape[1]
    shrinkage = dim / (dim + n_items - 1)
    weights, squares = scatter.discriminant(shrinkage)
    multiple = (dim * (1 - shrinkage) / n_items).where(~scatter.nothing, shrinkage).view(-1, 1, 1)
    return multiple * weights, -math.log(n_way) - multiple * squares / 2


PLUGIN = Gda
