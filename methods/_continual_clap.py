"""CLAP, trained on with further support sets."""

import torch
from torch import Tensor

from bench.contracts import Support
from methods._continual_class_vectors import ContinualClassVectors
from methods._moments import class_sizes
from methods.clap import Clap


class ContinualClap(ContinualClassVectors, Clap):
    """The probe goes on from its class vectors, which the penalty still holds to where they began.

    Weights of the penalty are by zero-shot scores of the present examples; a class without any keeps its own.
    """

    def begin(self, support: Support) -> None:
        """Keep the weights of classes without present examples."""
        earlier: Tensor | None = getattr(self, "weights", None)
        super().begin(support)
        if earlier is not None:
            items = self._items
            present = class_sizes(items.labels, items.mask, self.shape.n_way) > 0
            self.weights = torch.where(present, self.weights, earlier.to(self.weights))


PLUGIN = ContinualClap
