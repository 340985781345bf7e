"""A method in Lightning: ``fit`` adapts it to support batches, ``predict`` has it answer query batches."""

from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from bench.contracts import (
    Answers,
    ForwardMethod,
    GradientMethod,
    InputMode,
    Method,
    Query,
    Support,
)
from bench.meters.flops import FlopMeter
from bench.meters.stage import StageMeter


class _Adaptation(LightningModule):
    """What forward-only and gradient methods share: moving batches, answering, measuring."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method
        if method.input_mode_for(method.shape.kind) is InputMode.INPUTS:
            # The method itself hides the backbone from torch; here it has to follow the device.
            self.backbone = method.backbone
        self.flops_at_steps: list[int] = []
        """What the counter, if there is one, showed after each step."""
        self.counter: FlopMeter | None = None
        self.adapting = StageMeter()
        self.answering = StageMeter(after=self.adapting if method.uses_support else None)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch.to(device)

    def on_train_start(self) -> None:
        self.adapting.start(self.device)

    def on_train_end(self) -> None:
        self.adapting.stop()

    def on_predict_start(self) -> None:
        self.answering.start(self.device)

    def on_predict_end(self) -> None:
        self.answering.stop()

    def predict_step(self, batch: Query, batch_idx: int) -> Answers:
        answers = self.method.predict(batch)
        return answers.float().cpu() if isinstance(answers, Tensor) else answers


class ForwardAdaptation(_Adaptation):
    """Observes each support batch once, then solves; the solve belongs to adapting."""

    method: ForwardMethod

    def __init__(self, method: ForwardMethod) -> None:
        super().__init__(method)
        self.automatic_optimization = False

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """There is nothing to optimise."""
        return None

    def training_step(self, batch: Support, batch_idx: int) -> None:
        """Observe one batch."""
        with torch.no_grad():
            self.method.observe(batch)

    def on_train_end(self) -> None:
        """Solve, and only then stop the clock."""
        with torch.no_grad():
            self.method.solve()
        super().on_train_end()


class GradientAdaptation(_Adaptation):
    """Takes the method's optimizer steps on its loss."""

    method: GradientMethod

    def __init__(self, method: GradientMethod) -> None:
        super().__init__(method)
        self.validated_at = -1
        self.losses: list[Tensor] = []

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The method's own optimizer, and its schedule by steps."""
        optimizer, schedule = self.method.optimizer()
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: Support, batch_idx: int) -> Tensor:
        """The method's loss on one batch."""
        loss = self.method.loss(batch)
        # Not read here: a device would have to be waited for at each step.
        self.losses.append(loss.detach() / batch.n_episodes)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Support, batch_idx: int) -> None:
        """Validate where it is time to."""
        if self.counter is not None:
            self.flops_at_steps.append(self.counter.total)
        every = self.method.validate_every
        if every and self.trainer.global_step % every == 0:
            self._validate()

    def on_train_end(self) -> None:
        """Finish, and only then stop the clock."""
        if self.method.validate_every and self.validated_at < self.trainer.global_step:
            self._validate()
        with torch.no_grad():
            self.method.finish()
        super().on_train_end()

    def _validate(self) -> None:
        self.validated_at = self.trainer.global_step
        with self.adapting.pause(), torch.no_grad():
            self.method.validate()
