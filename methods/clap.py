"""CLAP: the probe of ZS-LP with a penalty for leaving zero-shot class vectors, larger where these are right."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from bench.contracts import Support
from methods._class_vectors import Probe, ProbeConfig
from methods._moments import class_sizes, class_sums


class ClapConfig(ProbeConfig):
    """Hyper-parameters of CLAP; the defaults are published, for all data sets and shots."""

    constraint: Literal["fixed", "adaptive"] = Field(
        default="fixed",
        description="fixed: the weights of the penalty stay. adaptive: after each epoch they rise by a step of the "
        "augmented Lagrangian.",
    )


class Clap(Probe):
    """ZS-LP's loss plus the mean over classes of ``lambda_c |w_c - t_c|^2``, w and t at the length of training.

    ``lambda_c`` is the mean probability of the right class over the examples of class c, by zero-shot scores: what the
    frozen model knows already is held more firmly. ``adaptive`` is the authors' augmented Lagrangian, ``lambda_c +=
    rho_c h_c`` and ``rho_c = h_c`` after each epoch, with the squared distances h and rho 0 at first.
    """

    Config = ClapConfig
    config: ClapConfig

    def begin(self, support: Support) -> None:
        """Start, and weigh classes by the probabilities of right answers."""
        super().begin(support)
        items = self._items
        scores = self.scores(items, self._vectors(), support.classes)
        right = scores.softmax(dim=-1).gather(-1, items.labels.unsqueeze(-1)) * items.mask.unsqueeze(-1)
        sizes = class_sizes(items.labels, items.mask, self.shape.n_way).clamp(min=1)
        sums = class_sums(right.double(), items.labels, items.mask, self.shape.n_way).squeeze(-1)
        self.weights = (sums / sizes).to(scores.dtype)
        self._rho = torch.zeros_like(self.weights)

    weights: Tensor
    """``[episode, way]``, lambda."""

    def penalty(self, step: int) -> Tensor:
        """Weighted squared distances from the start, summed over episodes."""
        distances = self.trained.square().sum(dim=-1)
        if self.config.constraint == "adaptive" and step and step % self._per_epoch == 0:
            self.weights = self.weights + self._rho * distances.detach()
            self._rho = distances.detach()
        return (self.weights * distances).mean(dim=-1).sum()


PLUGIN = Clap
