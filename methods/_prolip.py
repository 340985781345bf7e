"""ProLIP's settings and optimizer: a linear map that is trained and held to where it starts."""

from collections.abc import Iterable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from bench.contracts import MethodConfig, Tune

SOURCE = "Fahes et al. 2024, CLIP's Visual Embedding Projector is a Few-shot Cornucopia (ProLIP), arXiv 2410.05270"


class HeldMapConfig(MethodConfig):
    """Hyper-parameters of ProLIP; the defaults are published, for use without a validation set."""

    penalty: Annotated[float | None, Tune(1e-4, 10.0, log=True)] = Field(
        default=None,
        ge=0,
        le=1e9,
        description="Weight of the squared distance from the map's start; by default 1 / shots.",
    )
    lr: Annotated[float, Tune(1e-6, 1e-2, log=True)] = Field(
        default=1e-5, gt=0, le=1, description="Adam's rate; it falls to 0 along a cosine."
    )
    steps: int = Field(default=300, ge=1, le=100_000, description="Steps on the whole support set.")

    def weight(self, n_items: Tensor, n_way: int) -> Tensor:
        """Weight of the penalty of each episode.

        Args:
            n_items: ``[episode]``, support items.
            n_way: Number of classes.

        Returns:
            ``[episode]``.
        """
        shots = n_items.clamp(min=1) / n_way
        return 1 / shots if self.penalty is None else torch.full_like(shots, self.penalty)

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> tuple[Optimizer, LRScheduler]:
        """Adam with the published eps, on a cosine over all steps.

        Args:
            parameters: What is trained.

        Returns:
            The optimizer and its schedule.
        """
        optimizer = Adam(parameters, lr=self.lr, eps=1e-4)
        return optimizer, CosineAnnealingLR(optimizer, T_max=self.steps)
