"""ProKeR: kernel ridge regression of what zero-shot scores leave of the labels."""

from itertools import product
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot

from bench.contracts import (
    Backbone,
    Classes,
    EmbeddingUse,
    ForwardMethod,
    LeaveOneOut,
    MethodConfig,
    ProblemShape,
    Query,
    Support,
    Tune,
    UsageError,
)
from methods._choice import chosen
from methods._cosines import cosines
from methods._held_out import Sample
from methods._moments import NUMBERS_AT_ONCE, class_indicator
from methods._pairs import StoredPairs
from methods._prior_strength import Auto
from methods._reservoir import Reservoir

Positive = Annotated[float, Field(gt=0, le=1e6)]
START = (1.0, 0.1)
"""Beta and lam where nothing can be held out, and unless others are clearly better."""
BETAS = (0.3, 1.0, 3.0, 10.0, 30.0)
LAMS = (1e-3, 1e-2, 0.1, 1.0, 5.0)
"""What ``auto`` chooses from, over the ranges that are searched in published code."""
MOST_ITEMS = 10_000
"""Largest support set: its kernel matrix is 800 MB in float64."""
SETTING_BYTES = 4
"""Bytes of an episode's beta."""


class ProkerConfig(MethodConfig):
    """Hyper-parameters of ProKeR; beta and lam are searched, as published."""

    prior: Literal["mix", "none"] = Field(
        default="mix", description="mix: regression of what zero-shot scores leave of the labels, as published. none: "
        "of the labels themselves."
    )  # fmt: skip
    beta: Annotated[Positive | Auto, Tune(0.1, 30.0, log=True)] = Field(
        default="auto",
        description="Sharpness of the kernel exp(-beta |x - x'|^2); auto: the best from 0.3 to 30 when each example is "
        "left out.",
    )
    lam: Annotated[Positive | Auto, Tune(1e-3, 5.0, log=True)] = Field(
        default="auto",
        description="The penalty of the regression; auto: the best from 0.001 to 5 when each example is left out.",
    )
    tau: Annotated[float, Tune(1.0, 20.0, log=True)] = Field(
        default=1.0, gt=0, le=1e3, description="What zero-shot cosines are multiplied by, beside labels of 0 and 1."
    )


class KernelRidge:
    """Kernel ridge regression of each episode in float64, with closed-form leave-one-out residuals.

    ``alpha = C R`` with ``C = (K + lam I)^-1`` and ``K = exp(-beta |x - x'|^2)`` for keys of length 1. Fitted to all
    items but i, the residual of item i is ``alpha_i / C_ii`` (Allen 1974, PRESS).
    """

    def __init__(self, keys: Tensor, mask: Tensor) -> None:
        """Compute inner products.

        Args:
            keys: ``[episode, item, dim_k]``.
            mask: ``[episode, item]``, False for padding.
        """
        keys = keys.double()
        self.affinity = keys @ keys.mT
        self.padding = ~(mask.unsqueeze(1) & mask.unsqueeze(2))

    def solve(self, residuals: Tensor, beta: Tensor, lam: Tensor) -> Tensor:
        """Weights of the items.

        Args:
            residuals: R ``[episode, item, way]`` in float64, 0 for padding.
            beta: ``[episode]``.
            lam: ``[episode]``.

        Returns:
            alpha ``[episode, item, way]``.
        """
        return torch.cholesky_solve(residuals, self._factor(beta, lam))

    def left_out(self, residuals: Tensor, beta: Tensor, lam: Tensor) -> Tensor:
        """What fits to all other items leave of each item's residual; arguments as for ``solve``.

        Args:
            residuals: R ``[episode, item, way]`` in float64, 0 for padding.
            beta: ``[episode]``.
            lam: ``[episode]``.

        Returns:
            ``[episode, item, way]``.
        """
        inverse = torch.cholesky_inverse(self._factor(beta, lam))
        return inverse @ residuals / inverse.diagonal(dim1=-2, dim2=-1).unsqueeze(-1)

    def _factor(self, beta: Tensor, lam: Tensor) -> Tensor:
        # |x - x'|^2 is 2 - 2 x x' for keys of length 1.
        kernel = (2 * beta.double().view(-1, 1, 1) * (self.affinity - 1)).exp_().masked_fill_(self.padding, 0)
        kernel.diagonal(dim1=-2, dim2=-1).add_(lam.double().unsqueeze(-1))
        factor: Tensor = torch.linalg.cholesky(kernel)
        return factor


class KernelPairs(StoredPairs):
    """Keys with the regression's weights ``[episode, item, way]`` as values.

    Attributes:
        beta: ``[episode]``.
    """

    def __init__(self, n_episodes: int, key_dim: int, n_way: int, reservoir: Reservoir) -> None:
        super().__init__(n_episodes, key_dim, n_way, reservoir)
        self.register_buffer("beta", torch.ones(n_episodes))

    beta: Tensor

    def answer(self, keys: Tensor, allowed: Tensor) -> Tensor:
        """``k(x, S) alpha [episode, item, way]``."""
        kernel = (2 * self.beta.view(-1, 1, 1) * (keys @ self.keys.mT - 1)).exp()
        return kernel.masked_fill(~allowed, 0) @ self.values


class Proker(ForwardMethod):
    """``f(x) = f0(x) + k(x, S) alpha`` with ``alpha = (K + lam I)^-1 (L - f0(S))`` of the support set S, labels L.

    f0 are zero-shot cosines times tau: the logits over 100, which is what they are with CLIP. The regression is thus
    drawn to f0 where there is no example near (proximal regularisation); with a linear kernel it would be ridge.

    The paper searches beta and lam on a validation set. Here they are searched on the support set while adapting, each
    example left out in closed form, by accuracy; 1 and 0.1 stay unless others are better by more than a standard error
    (see ``methods._choice.chosen``), and with one example per class.

    Its state is the support set with a number per class for each item. Solving takes the time of N^3 for N items, and
    the search that of 26 such: above 10,000 items it is refused, unless a budget for the state keeps fewer.
    """

    Config = ProkerConfig
    config: ProkerConfig
    source = "Bendou et al. 2025, ProKeR: A Kernel Perspective on Few-Shot Adaptation of Large VLMs, arXiv 2501.11175"

    def __init__(self, config: ProkerConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        each = 4 * (shape.key_dim + shape.n_way) + 1
        most = shape.limits.items(each, SETTING_BYTES)
        if min(shape.n_support, shape.n_support if most is None else most) > MOST_ITEMS:
            raise UsageError(
                f"proker solves a system of N x N numbers and serves {MOST_ITEMS:,} support items at most, got "
                f"{shape.n_support:,}; use fewer shots, a state_mb budget that keeps fewer, or ridge"
            )
        self.pairs = KernelPairs(
            shape.n_episodes, shape.key_dim, shape.n_way, Reservoir.of(shape, bytes_once=SETTING_BYTES)
        )

    @classmethod
    def embedding_use(cls, config: MethodConfig) -> EmbeddingUse:
        """Optional: without class embeddings the regression is of the labels; unused without a prior."""
        return EmbeddingUse.UNUSED if getattr(config, "prior", None) == "none" else EmbeddingUse.OPTIONAL

    def observe(self, support: Support) -> None:
        """Keep keys, with what is left of the labels and the labels as values."""
        sample = Sample.of(support, self.shape.seed)
        target = one_hot(sample.labels, self.shape.n_way).float()
        zero_shot = self._zero_shot(sample.prior, support.classes, self.config.tau)
        values = torch.cat([target - zero_shot, target], dim=-1)
        self.pairs.observe(support.keys, values, support.mask, support.labels, sample.draw)

    def solve(self) -> None:
        """Choose what is not given, then fit all items."""
        pairs = self.pairs
        pairs.solve()
        pairs.forget_draws()
        n_items = pairs.keys.shape[1]
        if n_items == 0:
            return
        residuals, target = torch.split(pairs.values.double(), self.shape.n_way, dim=-1)
        alpha, lams = torch.zeros_like(residuals), []
        step = max(1, NUMBERS_AT_ONCE // n_items**2)
        for start in range(0, len(alpha), step):
            part = slice(start, start + step)
            ridge = KernelRidge(pairs.keys[part], pairs.mask[part])
            beta, lam = self._settings(ridge, residuals[part], target[part], pairs.mask[part])
            alpha[part] = ridge.solve(residuals[part], beta, lam)
            pairs.beta[part] = beta.float()
            lams.append(lam)
        pairs.values = alpha.float()
        found = {"chosen_beta": (self.config.beta, pairs.beta), "chosen_lam": (self.config.lam, torch.cat(lams))}
        self.notes |= {name: float(each.median()) for name, (given, each) in found.items() if given == "auto"}

    def predict(self, query: Query) -> Tensor:
        """Scores ``[episode, item, way]``, near 1 for the right class."""
        return self._zero_shot(query.prior, query.classes, self.config.tau) + self.pairs.read(query.keys)

    @classmethod
    def leave_one_out(cls, backbone: Backbone, shape: ProblemShape, support: Support) -> "ProkerTrials":
        """One matrix of inner products for every beta and lam."""
        return ProkerTrials(backbone, shape, support)

    def _zero_shot(self, prior: Tensor, classes: Classes, tau: float) -> Tensor:
        """``[episode, item, way]``, or 0 for all without a prior."""
        if self.config.prior == "none":
            return prior.new_zeros(())
        return tau * cosines(self.backbone, prior, classes)

    def _settings(self, ridge: KernelRidge, residuals: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Beta and lam ``[episode]``: given, or of best accuracy with each item left out."""
        config, start = self.config, (self.config.beta, self.config.lam)
        first = tuple(default if given == "auto" else given for given, default in zip(start, START, strict=True))
        betas = BETAS if config.beta == "auto" else first[:1]
        lams = LAMS if config.lam == "auto" else first[1:]
        settings = [first] if "auto" not in start else [first, *product(betas, lams)]
        table = residuals.new_tensor(settings)
        if len(settings) == 1:
            return table[0].expand(len(residuals), -1).unbind(dim=1)  # type: ignore[return-value]
        counted = mask & (target @ target.sum(dim=1).unsqueeze(-1) > 1).squeeze(-1)
        candidates = (
            target - ridge.left_out(residuals, *setting.expand(len(residuals), -1).unbind(dim=1)) for setting in table
        )
        best = chosen(candidates, target.argmax(dim=-1), counted, "accuracy")
        return table[best].unbind(dim=1)  # type: ignore[return-value]


class ProkerTrials(LeaveOneOut[ProkerConfig]):
    """Every beta, lam and tau on one support set, each example left out exactly."""

    def __init__(self, backbone: Backbone, shape: ProblemShape, support: Support) -> None:
        sample = Sample.of(support, shape.seed)
        self._target = class_indicator(sample.labels, sample.mask, shape.n_way)
        self._ridge = KernelRidge(sample.keys, sample.mask)
        zero_shot = cosines(backbone, sample.prior, support.classes)
        self._zero_shot = zero_shot.double() * sample.mask.unsqueeze(-1)
        self.labels = sample.labels
        self.mask = sample.mask & (self._target.sum(dim=1).gather(1, sample.labels) > 1)

    def serves(self, config: ProkerConfig) -> bool:
        """Whether beta and lam are numbers."""
        return "auto" not in {config.beta, config.lam}

    def scores(self, config: ProkerConfig) -> Tensor:
        """Scores ``[episode, item, way]``. Raises ValueError for a config that it does not serve."""
        if config.beta == "auto" or config.lam == "auto":
            raise ValueError(f"leaving one out needs beta and lam, got {config}")
        residuals = self._target - (config.tau * self._zero_shot if config.prior == "mix" else 0)
        each = residuals.new_ones(len(residuals))
        return (self._target - self._ridge.left_out(residuals, config.beta * each, config.lam * each)).float()


PLUGIN = Proker
