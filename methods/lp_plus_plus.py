"""LP++: a linear probe started at the class prototypes, blended with zero-shot logits by one trained weight a class."""

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from bench.contracts import Backbone, Classes, Kind, MethodConfig, ProblemShape, Query, Support
from methods._held_out import Sample
from methods._minibatches import StreamedMethod
from methods._moments import class_indicator
from methods._training import summed_cross_entropy

SCALE = 100.0
"""Zero-shot logits over this stand for the cosines ``f t_c`` of the paper, which is what they are with CLIP."""
BLEND_START = 250.0
BLEND_EVERY = 10
MINIBATCH = 2**14
"""Examples of a minibatch, where examples are very many."""


class LpPlusPlusConfig(MethodConfig):
    """Hyper-parameters of LP++, which takes its rates from the data."""

    variant: Literal["code", "paper"] = Field(
        default="code",
        description="code: as the authors' program runs, from class sums, with a bias, a step of the blend by the "
        "gradients of all iterations so far. paper: from class means, without a bias, by the last gradient.",
    )

    steps: int = Field(
        default=300,
        ge=1,
        le=100_000,
        description="Iterations on the whole support set; from 100,000 examples on, each on 16,384 of them.",
    )


class LpPlusPlus(StreamedMethod):
    """``logits_c = f w_c + b_c + a_c z_c`` with zero-shot cosines ``z = class_logits(prior) / 100``.

    All a start at 250 times the mean cosine of an example and its own class. w and a descend the mean cross-entropy in
    turn with steps from its Lipschitz constants: w at each iteration by ``4 N / |F|^2`` (spectral norm) with momentum
    0.9, a at every tenth by ``N / (4 max_c sum_i z_ic^2)``. The authors' program differs from their text, and there is
    a form of either:

    - ``code`` (the default): w starts at the class sums, the bias b is trained like w, and the gradient of a is never
      set to zero, so that a step goes by the sum of the gradients of all iterations so far. The program draws b's
      start from a narrow range; here it is 0.
    - ``paper``: w starts at the class means, there is no b, and a step of a goes by the gradient of its own iteration.

    The iterate of the last step is used, where the published code takes the best on a validation set. Steps are per
    episode, and no episode sees another. The zero-shot logits are a part of the method: there is no form without them.

    From 100,000 examples on, each step sees a minibatch, and the first one gives the starts and the step sizes; its
    class sums are scaled up to the support set's size.
    """

    kinds = frozenset({Kind.IMAGE_CLASSIFICATION})
    Config = LpPlusPlusConfig
    config: LpPlusPlusConfig
    source = "Huang et al. 2024, LP++: A Surprisingly Strong Linear Probe for Few-Shot CLIP, arXiv 2404.02285"

    def __init__(self, config: LpPlusPlusConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self.steps = config.steps
        self.batch_size = MINIBATCH if self.streams else None
        self.prototypes = nn.Parameter(torch.zeros(shape.n_episodes, shape.n_way, shape.key_dim))
        self.blend = nn.Parameter(torch.zeros(shape.n_episodes, 1, shape.n_way))
        self._as_code = config.variant == "code"
        if self._as_code:
            self.bias = nn.Parameter(torch.zeros(shape.n_episodes, 1, shape.n_way))

    def begin(self, support: Support) -> None:
        """Start from the class sums or means and find the step sizes."""
        self._begin(self.shuffled(support), support.classes)

    def begin_stream(self, items: Sample, classes: Classes) -> None:
        """The same, from the first minibatch."""
        self._begin(items, classes)
        if self._as_code:
            self.prototypes.data.mul_(self.shape.n_support / items.mask.sum(dim=1).clamp(min=1).view(-1, 1, 1))

    def _begin(self, items: Sample, classes: Classes) -> None:
        keys, mask = items.keys, items.mask
        cosines = self._zero_shot(items, classes)
        indicator = class_indicator(items.labels, mask, self.shape.n_way).to(keys.dtype)
        size = indicator.sum(dim=1).clamp(min=1)
        count = mask.sum(dim=1).clamp(min=1).view(-1, 1, 1)
        self.prototypes.data.copy_(indicator.mT @ keys / (1 if self._as_code else size.unsqueeze(-1)))
        own = (indicator * cosines).sum(dim=1) / size
        self.blend.data.copy_((BLEND_START * own.mean(dim=-1)).view(-1, 1, 1).expand_as(self.blend))
        self._steps = (
            4 * count / _squared_norm(keys).clamp(min=1e-12),
            count / (4 * cosines.square().sum(dim=1, keepdim=True).amax(dim=-1, keepdim=True).clamp(min=1e-12)),
        )
        self._items, self._cosines = items, cosines

    def streamed_loss(self, step: int, items: Sample, classes: Classes) -> Tensor:
        """Mean cross-entropy of a minibatch."""
        self._items, self._cosines = items, self._zero_shot(items, classes)
        return self.step_loss(step, classes)

    def _zero_shot(self, items: Sample, classes: Classes) -> Tensor:
        """Zero-shot cosines ``[episode, item, way]``, 0 where there is no item."""
        return self.backbone.class_logits(items.prior, classes) / SCALE * items.mask.unsqueeze(-1)

    def step_loss(self, step: int, classes: Classes) -> Tensor:
        """Mean cross-entropy of all items; its gradients come multiplied by each episode's step sizes."""
        prototypes, blend = _stepping(self.prototypes, self._steps[0]), _stepping(self.blend, self._steps[1])
        logits = self._items.keys @ prototypes.mT + blend * self._cosines
        if self._as_code:
            logits = logits + _stepping(self.bias, self._steps[0])
        return summed_cross_entropy(logits, self._items.labels, self._items.mask)

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """Gradient descent at rate 1, the step sizes being in the gradients already; the blend moves at every tenth."""
        # With momentum 1 the optimizer sums up all gradients, as the program does that never sets them to zero.
        groups: list[dict[str, Any]] = [
            {"params": [self.prototypes, self.bias] if self._as_code else [self.prototypes], "momentum": 0.9},
            {"params": [self.blend], "momentum": 1.0 if self._as_code else 0.0},
        ]
        optimizer = SGD(groups, lr=1.0)
        return optimizer, LambdaLR(optimizer, [lambda _: 1.0, lambda step: float((step + 1) % BLEND_EVERY == 0)])

    def predict(self, query: Query) -> Tensor:
        """Logits ``[episode, item, way]``."""
        cosines = self.backbone.class_logits(query.prior, query.classes) / SCALE
        logits = query.keys @ self.prototypes.mT + self.blend * cosines
        return logits + self.bias if self._as_code else logits


def _stepping(parameter: Tensor, step: Tensor) -> Tensor:
    """The parameter, with a gradient that is multiplied by ``step``: so each episode has a step size of its own."""
    fixed = parameter.detach()
    return fixed + step * (parameter - fixed)


def _squared_norm(keys: Tensor) -> Tensor:
    """Squared spectral norm ``[E, 1, 1]`` of ``keys [E, N, d]``, from the smaller Gram matrix."""
    gram = keys @ keys.mT if keys.shape[1] < keys.shape[2] else keys.mT @ keys
    largest: Tensor = torch.linalg.eigvalsh(gram.double())[:, -1].to(keys.dtype)
    return largest.view(-1, 1, 1)


PLUGIN = LpPlusPlus
