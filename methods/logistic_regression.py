"""Logistic regression by L-BFGS, with scikit-learn's objective and defaults."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bench.contracts import Backbone, Classes, ProblemShape, Support, Tune
from bench.toolkit.least_squares import Spectrum
from methods._folds import Folds
from methods._held_out import Sample
from methods._lbfgs import BatchedLBFGS
from methods._prior import PriorConfig
from methods._trained_classifier import TrainedClassifier


class LogisticRegressionConfig(PriorConfig):
    """Hyper-parameters of logistic regression; the defaults are scikit-learn's."""

    C: Annotated[float, Tune(1e-3, 1e6, log=True)] = Field(
        default=1.0, gt=0, le=1e12, description="Inverse of the L2 penalty on weights; the intercept is free."
    )
    steps: int = Field(default=100, ge=1, le=100_000, description="Evaluations of loss and gradient.")
    tolerance: float = Field(
        default=1e-4, ge=0, le=1, description="An episode is solved when no entry of its gradient is larger."
    )


class LogisticRegression(TrainedClassifier):
    """One softmax regression per episode, each by L-BFGS with a line search of its own; see BatchedLBFGS.

    The objective is that of scikit-learn's ``LogisticRegression(C=C)``: summed cross-entropy and ``|W|^2 / (2 C)``,
    over ``N`` for N items. With two classes scikit-learn has one weight vector, whose penalty is twice as large as that
    of two opposite ones; so it is here.

    Keys are centred, the intercept taking up the difference, and where items are fewer than dimensions W is found in
    the span of the keys, which has the minimum in it. The number of evaluations is fixed; an episode that is solved
    stays where it is. By default there is no prior in the logits; see PriorTerm. Its weight is chosen by regressions
    without one of five parts of every class each, beside the first.
    """

    episodes_at_once = 300
    Config = LogisticRegressionConfig
    config: LogisticRegressionConfig
    source = (
        "Radford et al. 2021, arXiv 2103.00020 (logistic regression of frozen features by L-BFGS, as in scikit-learn); "
        "Liu and Nocedal 1989 (L-BFGS)"
    )

    def __init__(self, config: LogisticRegressionConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self.steps = config.steps
        n_problems, rank = shape.n_episodes * (1 + self.n_folds), min(shape.n_support, shape.key_dim)
        self._in_span = shape.n_support < shape.key_dim
        self.inside = nn.Parameter(torch.zeros(n_problems, rank, shape.n_way, dtype=torch.float64))
        self.offset = nn.Parameter(torch.zeros(n_problems, 1, shape.n_way, dtype=torch.float64))

    def begin(self, support: Support) -> None:
        """Centre the keys, and find a basis of their span where it is smaller."""
        self._sample, self._classes = Sample.of(support, self.shape.seed), support.classes
        self._folds = Folds(self._sample, self.shape.n_way, self.n_folds)
        self._mask, self._labels = self._folds.training, self._folds.copies(self._sample.labels)
        self._count = self._mask.sum(dim=1).clamp(min=1)
        keys = self._folds.copies(self._sample.keys.double()) * self._mask.unsqueeze(-1)
        self._mean = keys.sum(dim=1, keepdim=True) / self._count.view(-1, 1, 1)
        self._rows = (keys - self._mean) * self._mask.unsqueeze(-1)
        if self._in_span:
            # Eigenvalues ascend; directions that padding adds come first. Items may be fewer than were planned for.
            basis = Spectrum.of_rows(self._rows).basis[:, -self.inside.shape[1] :]
            self._basis = pad(basis, (0, 0, self.inside.shape[1] - basis.shape[1], 0))
            self._rows = self._rows @ self._basis.mT

    def step_loss(self, step: int, classes: Classes) -> Tensor:
        """Penalised mean cross-entropy over each episode's items, summed over episodes."""
        logits = torch.baddbmm(self.offset, self._rows, self.inside)
        each = cross_entropy(logits.mT, self._labels, reduction="none").masked_fill(~self._mask, 0)
        twice = 2 if self.shape.n_way == 2 else 1
        penalty = twice / (2 * self.config.C) * self.inside.square().sum(dim=(1, 2))
        losses = (each.sum(dim=1) + penalty) / self._count
        self._losses = losses.detach()
        return losses.sum()

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """L-BFGS."""
        self._optimizer = BatchedLBFGS(
            [self.inside, self.offset], lambda: self._losses, tolerance=self.config.tolerance
        )
        return self._optimizer, None

    def finish(self) -> None:
        """W and intercept for keys as they come."""
        self._optimizer.settle()
        weight = self.inside.detach()
        weight = self._basis.mT @ weight if self._in_span else weight
        bias, n_episodes = (self.offset.detach() - self._mean @ weight).float(), self.shape.n_episodes
        weight = weight.float()
        self.weight, self.bias = weight[:n_episodes].clone(), bias[:n_episodes].clone()
        if not self.prior_term.used:
            return
        sample = self._sample
        copies = zip(torch.split(bias, n_episodes), torch.split(weight, n_episodes), strict=True)
        scores, *others = (torch.baddbmm(b, sample.keys, w) for b, w in copies)
        left_out = self._folds.out_of_fold(others) if others else None
        count = sample.mask.sum(dim=1)
        self.prior_term.fit(slice(None), sample, self._classes, count, scores, left_out, self._folds.counts)
        self.notes |= self.prior_term.notes()


PLUGIN = LogisticRegression
