"""Gaussian discriminant analysis on the keys, added to the zero-shot logits (GDA-CLIP)."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from bench.contracts import Backbone, Classes, ForwardMethod, MethodConfig, ProblemShape, Query, Support, Tune
from methods._moments import Moments, Observed, Part

ALPHAS = tuple(10.0**power for power in range(-4, 3))


class GdaConfig(MethodConfig):
    """Hyper-parameters of GDA."""

    alpha: Annotated[float | None, Tune(1e-4, 1e2, log=True)] = Field(
        default=None,
        ge=0,
        le=1e4,
        description="Weight of the discriminant beside the zero-shot logits; by default chosen from 1e-4 to 1e2.",
    )


class Gda(ForwardMethod):
    """``class_logits(prior) + alpha (f w_c + b_c)``: the Bayes classifier of Gaussians with a shared covariance S.

    ``w_c = S^-1 mu_c``, ``b_c = -log C - mu_c^T S^-1 mu_c / 2`` with class means mu_c and the shrunk
    ``S^-1 = d ((N - 1) S + tr(S) I)^-1`` over N examples of width d. alpha is the best of seven by accuracy on a
    fifth of each class, held out (up to 32 examples a class; the smallest of equals); means and covariance are
    then fitted to all. The published code chooses it on a validation set besides.

    With one example per class nothing can be held out and nothing scatters: alpha is then 1, and S is I / d,
    the widest that the covariance of unit vectors can be if it is the same in all directions.
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

    def observe(self, support: Support) -> None:
        """Add the batch to the moments, or keep its keys while they are fewer numbers."""
        self._observed.observe(support)
        self._classes = support.classes

    def solve(self) -> None:
        """Choose alpha, then fit all examples."""
        for part in self._observed.parts():
            weights, bias = _discriminant(part.everything)
            alpha = self._chosen(part) if self.config.alpha is None else weights.new_tensor(self.config.alpha)
            self.weights[part.episodes] = (alpha.view(-1, 1, 1) * weights).float()
            self.bias[part.episodes] = (alpha.view(-1, 1, 1) * bias).float()
        self._observed = Observed(self.shape, self.shape.key_dim, lambda keys: keys)

    def predict(self, query: Query) -> Tensor:
        """Zero-shot and discriminant logits together, ``[episode, item, way]``."""
        zero_shot = self.backbone.class_logits(query.prior, query.classes)
        return zero_shot + torch.baddbmm(self.bias, query.keys, self.weights)

    def _chosen(self, part: Part) -> Tensor:
        """``[episode]``: the alpha of best accuracy on what is held out; 1 where nothing is."""
        held, weights, bias = part.held_out, *_discriminant(part.training)
        classes = Classes(self._classes.class_embeddings[part.episodes], self._classes.names[part.episodes])
        zero_shot = self.backbone.class_logits(held.prior, classes).double()
        ours = held.keys.double() @ weights + bias
        alphas = weights.new_tensor(ALPHAS)
        right = torch.stack(
            [((zero_shot + alpha * ours).argmax(dim=-1) == held.labels) & held.mask for alpha in ALPHAS]
        )
        best = alphas[right.sum(dim=-1).argmax(dim=0)]
        return best.where(held.mask.any(dim=1), 1.0)


def _discriminant(moments: Moments) -> tuple[Tensor, Tensor]:
    """``S^-1 mu [E, d, C]`` and biases ``[E, 1, C]`` in float64."""
    count, means = moments.count, moments.means.mT
    dim, n_way = means.shape[1:]
    spectrum = moments.spectrum(centred=True)
    values, basis = spectrum.eigenvalues, spectrum.basis
    # Keys have length 1: N is the most that they can scatter, and rounding leaves about 1e-15 of it.
    n_items = count.sum(dim=1, keepdim=True).clamp(min=1)
    spread = values.sum(dim=1, keepdim=True)
    none = spread < 1e-10 * n_items
    trace = (spread / (n_items - 1).clamp(min=1)).where(~none, 1.0)
    values = values.where(~none, 0.0)
    shift = trace.where(~none, 1 + (n_items - 1) / dim).unsqueeze(-1)
    # (B^T diag(s) B + t I)^-1 mu: divided by s + t inside the span of B and by t outside.
    inside = basis @ means
    weights = dim * (basis.mT @ (inside / (values.unsqueeze(-1) + shift)) + (means - basis.mT @ inside) / shift)
    bias = -math.log(n_way) - (means * weights).sum(dim=1, keepdim=True) / 2
    return weights, bias


PLUGIN = Gda
