"""Trainings of a few tensors beside a frozen backbone: schedule, losses and checkpoints without the backbone."""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from bench.contracts import LanguageBackbone, NumericalError


@dataclass(frozen=True)
class TrainingRecipe:
    """Hyper-parameters of every such training.

    Attributes:
        steps: Number of optimizer steps.
        window: Tokens per window.
        batch: Windows per step.
        learning_rate: Learning rate after the warm-up.
        warmup: Number of warm-up steps.
        seed: Seed of all random numbers.
    """

    steps: int
    window: int = 256
    batch: int = 4
    learning_rate: float = 2e-5
    warmup: int = 0
    seed: int = 0

    @property
    def group(self) -> int:
        """Consecutive windows of the corpus that belong together."""
        return 1


class FrozenTraining(LightningModule):
    """Lightning module that trains tensors beside a frozen backbone.

    Attributes:
        losses: Loss of each step.
        on_step: Called after each step with its number, counted from 1, and its loss.
    """

    def __init__(
        self, backbone: LanguageBackbone, recipe: TrainingRecipe, identity: dict[str, str | int | float] | None = None
    ) -> None:
        """Keep the backbone and the recipe.

        Args:
            backbone: The frozen language model.
            recipe: Hyper-parameters, with the final number of steps.
            identity: Facts saved with each checkpoint, to be compared before it is resumed.
        """
        super().__init__()
        self.backbone, self.recipe, self.identity = backbone, recipe, identity or {}
        self.losses: list[float] = []
        self.on_step: Callable[[int, float], None] | None = None
        # Checkpoints hold no backbone, so that its keys are missing when one is loaded.
        self.strict_loading = False

    @abstractmethod
    def training_step(self, batch: Tensor, batch_idx: int = 0) -> Tensor:
        """Loss of a batch ``[window, position]`` of token ids; see LightningModule."""

    def scheduled(self, parameters: Sequence[nn.Parameter]) -> OptimizerLRScheduler:
        """AdamW without weight decay, with the schedule of the learning rate.

        Args:
            parameters: What is trained.

        Returns:
            Both, as Lightning takes them.
        """
        optimizer = torch.optim.AdamW(parameters, lr=self.recipe.learning_rate, betas=(0.9, 0.999), weight_decay=0.0)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _share(self, step: int) -> float:
        """Factor of the learning rate at a step, counted from 0: linear warm-up, then cosine decay to 0."""
        warmup, steps = self.recipe.warmup, self.recipe.steps
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    def keep_loss(self, loss: Tensor) -> None:
        """Keep the loss of a step.

        Args:
            loss: The loss, a tensor without dimensions.

        Raises:
            NumericalError: If it is not finite.
        """
        value = float(loss.detach())
        if not math.isfinite(value):
            raise NumericalError(
                f"the loss must be finite, and at step {self.global_step + 1} it is {value}; use a smaller --lr"
            )
        self.losses.append(value)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Log the loss and call ``on_step``; see LightningModule."""
        self.log("loss", self.losses[-1])
        if self.on_step is not None:
            self.on_step(self.global_step, self.losses[-1])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave the unchanged backbone out of a checkpoint; add the identity and the losses.

        Args:
            checkpoint: The checkpoint, changed in place.
        """
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: state[name] for name in state if not name.startswith("backbone.")}
        checkpoint["readouts"] = {"identity": self.identity, "losses": list(self.losses)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the losses.

        Args:
            checkpoint: The checkpoint.
        """
        self.losses = list(checkpoint["readouts"]["losses"])
