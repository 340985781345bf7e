"""A linear map of features that is held to the identity: ProLIP's regularised linear adapter."""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bench.contracts import Backbone, Classes, ProblemShape, Query, Support
from methods._held_out import Sample
from methods._prolip import SOURCE, HeldMapConfig
from methods._training import FullSupportMethod, summed_cross_entropy


class Projector(FullSupportMethod):
    """``class_logits(prior + P key)`` with P by cross-entropy plus ``penalty |P|_F^2``, from 0 on.

    Where key and prior are the same vector, as with CLIP, this is the published ``W x``, whose W starts at the identity
    and is held to it: ``linear_projection`` with a decay to the identity. With a penalty of 1 / shots, the default, its
    authors find rates from 1e-5 to 1e-2 to do as well as a rate and a penalty that a validation set chose.

    ProLIP itself trains the last projection of CLIP's image tower alike, on features before it and on several
    augmented views of each image; features of the frozen encoder have neither. Losses are summed over episodes, and
    Adam treats each entry by itself, so that each episode is trained as if it were alone.
    """

    episodes_at_once = 16
    Config = HeldMapConfig
    config: HeldMapConfig
    source = SOURCE

    def __init__(self, config: HeldMapConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self.steps = config.steps
        self.projection = nn.Parameter(torch.zeros(shape.n_episodes, shape.value_dim, shape.key_dim))

    def begin(self, support: Support) -> None:
        """Keep the items, and find the penalty of each episode."""
        self._items = items = self.shuffled(support)
        self._penalty = self.config.weight(items.mask.sum(dim=1), self.shape.n_way)
        self.notes["penalty"] = float(self._penalty.median())

    def step_loss(self, step: int, classes: Classes) -> Tensor:
        """Mean cross-entropy of all items and the penalty, summed over episodes."""
        distances = self.projection.square().sum(dim=(1, 2))
        scores = self._scores(self._items, classes)
        return summed_cross_entropy(scores, self._items.labels, self._items.mask) + (self._penalty * distances).sum()

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """Adam with the published eps, on a cosine."""
        return self.config.optimizer(self.parameters())

    def predict(self, query: Query) -> Tensor:
        """Scores ``[episode, item, way]``."""
        return self._scores(query, query.classes)

    def _scores(self, items: Sample | Query, classes: Classes) -> Tensor:
        return self.backbone.class_logits(items.prior + items.keys @ self.projection.mT, classes)


PLUGIN = Projector
