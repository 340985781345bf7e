"""Class vectors that are trained on with further support sets."""

from typing import Any

import torch
from torch import Tensor

from bench.contracts import Backbone, Continual, ProblemShape, Query, Support
from methods._class_vectors import ClassVectors
from methods._moments import class_sizes


class ContinualClassVectors(Continual, ClassVectors):
    """Training goes on from the present vectors; an epoch has the present examples alone.

    Where vectors start at class means of the keys, a class starts with the first support set that has examples of it.
    """

    def __init__(self, config: Any, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._met: Tensor | None = None
        self._earlier: Tensor | None = None

    def continue_adapt(self) -> None:
        """Look at the next support set before the first step."""
        self._step, self._earlier = 0, self.start

    def begin(self, support: Support) -> None:
        """Take up what was trained, and spread the examples over the steps planned for all support sets."""
        trained = self.trained.data
        # What a method finds out of the examples, it does with vectors as they began.
        self.trained.data = torch.zeros_like(trained)
        super().begin(support)
        items = self._items
        present = class_sizes(items.labels, items.mask, self.shape.n_way) > 0
        met = present if self._met is None else self._met.to(present.device)
        if self._earlier is not None and self._by_keys:
            self.start = torch.where(met.unsqueeze(-1), self._earlier.to(self.start), self.start)
            # What was trained of a class without examples pushed it away from those of others.
            trained = torch.where(met.unsqueeze(-1), trained, 0)
        self.trained.data = trained
        self._met = met | present
        size = max(1, -(-items.mask.shape[1] // self._per_epoch))
        self.config = self.config.model_copy(update={"batch_size": size})

    def predict(self, query: Query) -> Tensor:
        """Scores ``[episode, item, way]``; zero-shot answers before the first support set, where training starts."""
        if self._met is None and not self._by_keys:
            return self.backbone.class_logits(query.prior, query.classes)
        return super().predict(query)
