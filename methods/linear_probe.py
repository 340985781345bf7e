"""Multinomial logistic regression on the frozen keys, trained by gradient descent."""

import math
from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bench.contracts import Backbone, Classes, ProblemShape, Support, Tune
from bench.toolkit.gram_factors import largest_eigenvalue, whitening
from bench.toolkit.least_squares import add_gram, mirrored
from methods._folds import Folds
from methods._held_out import Sample, draws
from methods._pairs import widened, without_padding
from methods._prior import PriorConfig
from methods._trained_classifier import TrainedClassifier


class LinearProbeConfig(PriorConfig):
    """Hyper-parameters of the linear probe."""

    steps: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="Optimizer steps, each on all examples; from 100,000 examples on, each on 16,384 of them.",
    )
    lr: Annotated[float, Tune(1e-2, 1.0, log=True)] = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Step size as a share of the largest that is sure to descend, which is found from the examples.",
    )
    weight_decay: Annotated[float, Tune(1e-6, 1.0, log=True)] = Field(
        default=1e-4,
        ge=0,
        le=100,
        description="L2 penalty: half of this times the squared norm of an episode's weights.",
    )


MANY = 100_000
"""Examples of an episode from which on steps take minibatches, in shuffled epochs."""
MINIBATCH = 2**14
"""Examples of a minibatch."""
BLOCK = 2**11
"""Examples of a block: products of a few classes with many examples use one core, those of several blocks use all."""


class _NesterovMomentum(LRScheduler):
    """Momentum ``k / (k + 3)`` at step k, with which gradient descent on a convex loss converges as ``1 / k^2``."""

    def get_lr(self) -> list[float | Tensor]:
        """The rate stays; the momentum moves."""
        for group in self.optimizer.param_groups:
            group["momentum"] = self.last_epoch / (self.last_epoch + 3)
        return [group["lr"] for group in self.optimizer.param_groups]


class LinearProbe(TrainedClassifier):
    """One softmax regression per episode, all trained together by Nesterov's accelerated gradient descent.

    An episode's objective is the mean cross-entropy of its items plus ``weight_decay / 2 * |W|^2``, the
    bias being free. It is scikit-learn's ``LogisticRegression(C=1 / (weight_decay * N))`` for N items,
    divided by ``C * N``, and has the same minimum.

    Steps have the size ``lr / L``, L bounding the curvature of the loss, for each episode by itself. Three changes of
    variables leave the objective as it is. Keys are centred, the bias taking up the difference, which makes L
    several times smaller. Where items are fewer than dimensions, W is trained in the span of the keys, which
    gradient descent never leaves, in N numbers per class and not d: the same steps, up to rounding. And variables
    are divided by the square root of their step size, so that the rate is 1 for all episodes.

    From ``MANY`` examples on, each step sees a minibatch, so that memory does not grow with the examples; the first one
    gives the centre and the step sizes.

    By default there is no prior in the logits; see PriorTerm. To choose its weight, further probes are trained beside
    the first, each without one of five parts of every class (as many parts as there are shots, if fewer): each item is
    scored by the probe without it.
    """

    episodes_at_once = 300
    Config = LinearProbeConfig
    config: LinearProbeConfig
    source = (
        "Radford et al. 2021, arXiv 2103.00020 (linear probe of frozen features); "
        "Nesterov 1983 (accelerated gradient descent); Bohning 1992 (the bound on the curvature)"
    )

    def __init__(self, config: LinearProbeConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self.steps = config.steps
        n_episodes, n_way = shape.n_episodes * (1 + self.n_folds), shape.n_way
        self.batch_size = MINIBATCH if shape.n_support >= MANY else None
        self._rank = min(shape.n_support, shape.key_dim)
        # The objective is convex, so there is nothing that a random start could break the symmetry of.
        self.inside = nn.Parameter(torch.zeros(n_episodes, n_way, self._rank))
        self.offset = nn.Parameter(torch.zeros(n_episodes, n_way, 1))
        self._bias_scale = math.sqrt(2 * config.lr)

    inside: Tensor
    """``[probe, way, rank]``, W in the variables that it is trained in; the first probe of each episode, then the
    second, and so on."""

    def loss(self, support: Support) -> Tensor:
        """The loss of this step, summed over episodes; minibatches are looked at at each step."""
        if self.batch_size is not None and self._step > 0:
            with torch.no_grad():
                self._look_at(support)
        return super().loss(support)

    def begin(self, support: Support) -> None:
        """Centre the keys, find a basis of their span and the step sizes."""
        if self.batch_size is not None:
            self._begin_minibatches(support)
            return
        self._support = support = self._without_folds(support)
        mask = support.mask
        count = mask.sum(dim=1).clamp(min=1).view(-1, 1, 1)
        if self._rank < self.shape.key_dim:
            gram = torch.cat([part @ part.mT for _, part in widened(self._keys())])
            self._basis = self._spanning(gram, mask)
            keys = gram @ self._basis.mT
        else:
            keys = self._keys().double()
        self._centre = _mean(keys, mask)
        coordinates = (keys - self._centre) * mask.unsqueeze(-1)
        if self._rank < self.shape.key_dim:
            largest = largest_eigenvalue(coordinates.mT @ coordinates).view(-1, 1, 1)
        else:
            scatter = coordinates.new_zeros(len(keys), self._rank, self._rank)
            add_gram(scatter, coordinates)
            # No less than the largest eigenvalue, and not much more where that one stands out.
            largest = torch.linalg.matrix_norm(mirrored(scatter), keepdim=True)
        self._scale = self._step_sizes(largest, count).to(support.keys.dtype)
        share = (mask / count.squeeze(-1)).to(support.keys.dtype)
        self._keep((self._scale * coordinates).to(support.keys.dtype), share, support.labels)

    def _spanning(self, gram: Tensor, mask: Tensor) -> Tensor:
        """Keys' coefficients of an orthonormal basis of their span, from their inner products ``[probe, item, item]``.

        Returns:
            ``[probe, rank, item]``; where fewer keys span it, rows of 0 are among them.
        """
        if gram.shape[-1] <= self._rank:
            # In place of padding, an item by itself that no key has a part in: what is left has a Cholesky factor.
            squares = gram.diagonal(dim1=-2, dim2=-1).sum(dim=1, keepdim=True)
            typical = squares / mask.sum(dim=1, keepdim=True).clamp(min=1)
            gram = gram + torch.diag_embed(typical * ~mask)
        basis = whitening(gram, gram.new_zeros(len(gram)))
        return pad(basis, (0, 0, self._rank - basis.shape[1], 0))

    def _step_sizes(self, largest: Tensor, count: Tensor) -> Tensor:
        """Square roots of the step sizes, from the largest eigenvalue of the scatter of ``count`` centred keys."""
        # The Hessian of a softmax is at most 1/2; the bias is a key of length 1 that centred keys do not mix with.
        curvature = largest / (2 * count) + self.config.weight_decay
        return (self.config.lr / curvature.clamp(min=1e-12)).sqrt()

    def _begin_minibatches(self, support: Support) -> None:
        """Centre and step sizes from the first minibatch, which also gives the items that weigh a prior."""
        keys, mask = without_padding(support.keys, support.mask).double(), support.mask
        self._centre = _mean(keys, mask)
        centred = (keys - self._centre) * mask.unsqueeze(-1)
        largest = torch.linalg.matrix_norm(centred.mT @ centred, keepdim=True)
        scale = self._step_sizes(largest, mask.sum(dim=1).clamp(min=1).view(-1, 1, 1))
        self._scale = scale.to(support.keys.dtype).repeat(1 + self.n_folds, 1, 1)
        if self.prior_term.used:
            sample = Sample.of(support, self.shape.seed)
            self._sample, self._classes = sample.lowest(self.shape.n_way), support.classes
        self._look_at(support)

    def _look_at(self, support: Support) -> None:
        """A minibatch for the first probe of each episode, and without one fold for each of the others."""
        copies, mask = (1 + self.n_folds, 1, 1), support.mask
        keys = without_padding(support.keys, mask) - self._centre.to(support.keys.dtype)
        fold = self._fold_of(draws(support, self.shape.seed))
        training = torch.cat([mask, *(mask & (fold != part) for part in range(self.n_folds))])
        share = training / training.sum(dim=1, keepdim=True).clamp(min=1).to(support.keys.dtype)
        self._keep(self._scale * keys.repeat(copies), share, support.labels.repeat(copies[:2]))

    def _keep(self, rows: Tensor, share: Tensor, labels: Tensor) -> None:
        """Items of the next steps, those of a probe in as many blocks as they fill.

        Args:
            rows: ``[probe, item, rank]``, keys in the variables that W is trained in.
            share: ``[probe, item]``, weight of each item in the loss.
            labels: ``[probe, item]``.
        """
        blocks = rows.shape[1] // BLOCK
        if blocks < 2:
            self._rows, self._share, self._labels = rows.mT.contiguous(), share, labels
            return
        # Padding has no weight in the loss.
        padding = -rows.shape[1] % blocks
        self._rows = pad(rows, (0, 0, 0, padding)).view(len(rows) * blocks, -1, rows.shape[2]).mT
        self._share, self._labels = (pad(each, (0, padding)).view(len(each) * blocks, -1) for each in (share, labels))

    def _fold_of(self, draw: Tensor) -> Tensor:
        return draw % max(1, self.n_folds)

    def step_loss(self, step: int, classes: Classes) -> Tensor:
        """Penalised mean cross-entropy over each episode's items, summed over episodes."""
        blocks = len(self._rows) // len(self.inside)
        inside, offset = (
            each if blocks == 1 else each.repeat_interleave(blocks, dim=0) for each in (self.inside, self.offset)
        )
        logits = torch.baddbmm(offset, inside, self._rows, beta=self._bias_scale)
        weight = self._scale * self.inside
        penalty = self.config.weight_decay / 2 * torch.dot(weight.flatten(), weight.flatten())
        return (cross_entropy(logits, self._labels, reduction="none") * self._share).sum() + penalty

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """Gradient descent at rate 1, the step sizes being in the variables already."""
        optimizer = SGD([self.inside, self.offset], lr=1.0, momentum=0.5, nesterov=True)
        return optimizer, _NesterovMomentum(optimizer)

    def finish(self) -> None:
        """W and bias for keys as they come."""
        weight = (self._scale * self.inside).double().mT
        centre = self._centre if self.batch_size is None else self._centre.repeat(1 + self.n_folds, 1, 1)
        bias = self._bias_scale * self.offset.double().mT - centre @ weight
        if self._rank < self.shape.key_dim:
            # Transposed, so that the longest side of the product is read in the order in which it lies in memory.
            shares = (self._basis.mT @ weight).mT
            weight = torch.cat([shares[part] @ keys for part, keys in widened(self._keys())]).mT
        n_episodes = self.shape.n_episodes
        if self.prior_term.used:
            self._fit_prior(weight.to(self.weight.dtype), bias.to(self.bias.dtype))
        self.bias, self.weight = bias[:n_episodes].to(self.bias.dtype), weight[:n_episodes].to(self.weight.dtype)

    def _without_folds(self, support: Support) -> Support:
        """The support set for the first probe of each episode, and without one fold for each of the others."""
        if not self.prior_term.used:
            return support
        self._sample, self._classes = Sample.of(support, self.shape.seed), support.classes
        self._folds = Folds(self._sample, self.shape.n_way, self.n_folds)
        keys, labels = self._folds.copies(support.keys), self._folds.copies(support.labels)
        return replace(support, keys=keys, labels=labels, mask=self._folds.training)

    def _fit_prior(self, weight: Tensor, bias: Tensor) -> None:
        """Weigh the prior by the scores ``[episode, item, way]`` of the probes' ``weight`` and ``bias``."""
        sample, n_episodes = self._sample, self.shape.n_episodes
        scores, *others = (
            torch.baddbmm(b, sample.keys, w)
            for b, w in zip(torch.split(bias, n_episodes), torch.split(weight, n_episodes), strict=True)
        )
        if self.batch_size is None:
            left_out = self._folds.out_of_fold(others) if others else None
            count, counts = sample.mask.sum(dim=1), self._folds.counts
        else:
            fold = self._fold_of(sample.draw)[None, :, :, None].expand(1, *scores.shape)
            left_out = torch.stack(others).gather(0, fold)[0] if others else None
            count, counts = sample.mask.new_full((n_episodes,), self.shape.n_support, dtype=torch.long), sample.mask
        self.prior_term.fit(slice(None), sample, self._classes, count, scores, left_out, counts)
        self.notes |= self.prior_term.notes()

    def _keys(self) -> Tensor:
        return without_padding(self._support.keys, self._support.mask)


def _mean(keys: Tensor, mask: Tensor) -> Tensor:
    """``[episode, 1, dim_k]``, of the keys ``[episode, item, dim_k]``, padding being rows of 0."""
    return keys.sum(dim=1, keepdim=True) / mask.sum(dim=1).clamp(min=1).view(-1, 1, 1)


PLUGIN = LinearProbe
