"""Lightning modules of a method: ``fit`` adapts it to support batches, ``predict`` answers query batches."""

from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from bench.contracts import Answers, ForwardMethod, GradientMethod, InputMode, Method, Query, Support
from bench.meters.flops import FlopMeter
from bench.meters.stage import StageMeter, now


class Adaptation(LightningModule):
    """Base of both modules: transfer of batches, answers and stage meters.

    Attributes:
        method: The method.
        adapting: Meter of the adapt stage.
        answering: Meter of the query stage.
        counter: Meter of operations; None where they are not counted.
        flops_at_steps: Operations counted up to the end of each step, without those of validations.
        validation_flops: Operations of each validation.
    """

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method
        if method.input_mode_for(method.shape.kind, type(method.backbone)) is InputMode.INPUTS:
            # A method keeps its backbone out of torch's submodules; here it must follow the device.
            self.backbone = method.backbone
        self._classes: tuple[Any, Any] = (None, None)
        self.flops_at_steps: list[int] = []
        self.validation_flops: list[int] = []
        self.counter: FlopMeter | None = None
        self.adapting = StageMeter()
        self.answering = StageMeter(after=self.adapting if method.uses_support else None)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """The batch on a device; the classes, which batches share, are moved once."""
        if self._classes[0] is not batch.classes:
            self._classes = batch.classes, batch.classes.to(device)
        return batch.to(device, self._classes[1])

    def on_train_start(self) -> None:
        """Start the adapt stage."""
        self.adapting.start(self.device)

    def on_train_end(self) -> None:
        """End the adapt stage."""
        self.adapting.stop()

    @property
    def first_stage(self) -> StageMeter:
        """Meter of the first stage: of answering, for a method without a support set."""
        return self.adapting if self.method.uses_support else self.answering

    def flops_per_validation(self) -> int:
        """Operations of one validation; 0 without any, and where they are not counted."""
        return sum(self.validation_flops) // max(1, len(self.validation_flops))

    def on_predict_start(self) -> None:
        """Start the query stage."""
        self.answering.start(self.device)

    def on_predict_end(self) -> None:
        """End the query stage."""
        self.answering.stop()

    def predict_step(self, batch: Query, batch_idx: int) -> Answers:
        """The method's answers to a batch of queries, see Method.predict; scores in float32 on the CPU."""
        answers = self.method.predict(batch)
        return answers.float().cpu() if isinstance(answers, Tensor) else answers


class ForwardAdaptation(Adaptation):
    """Adaptation in one pass over the support batches and a closing solve."""

    method: ForwardMethod

    def __init__(self, method: ForwardMethod) -> None:
        super().__init__(method)
        self.automatic_optimization = False

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """No optimizer."""
        return None

    def training_step(self, batch: Support, batch_idx: int) -> None:
        """Pass one batch to the method."""
        with torch.no_grad():
            self.method.observe(batch)

    def on_train_end(self) -> None:
        """Solve within the adapt stage, then end it."""
        with torch.no_grad():
            self.method.solve()
        super().on_train_end()


class GradientAdaptation(Adaptation):
    """Adaptation by optimizer steps on the method's loss.

    Attributes:
        losses: Scalar loss of each step, averaged over episodes.
        validated_at: Number of steps at the last validation, -1 before the first.
    """

    method: GradientMethod

    def __init__(self, method: GradientMethod) -> None:
        super().__init__(method)
        self.validated_at = -1
        self.losses: list[Tensor] = []
        self._moved: tuple[Any, Any] = (None, None)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """The batch on a device; one that comes at each step, such as a whole support set, is moved once."""
        if self._moved[0] is not batch:
            self._moved = (None, None)
            self._moved = batch, super().transfer_batch_to_device(batch, device, dataloader_idx)
        return self._moved[1]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The method's optimizer, with its schedule by steps if it has one."""
        # A trainer asks for it before the stage starts, of which it is a part.
        began = now(self.device)
        optimizer, schedule = self.method.optimizer()
        self.adapting.seconds_before += now(self.device) - began
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: Support, batch_idx: int) -> Tensor:
        """The method's loss on one batch."""
        loss = self.method.loss(batch)
        # Kept as a tensor: reading its value would wait for the device at each step.
        self.losses.append(loss.detach() / batch.n_episodes)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Support, batch_idx: int) -> None:
        """Validate every ``validate_every`` steps."""
        if self.counter is not None:
            self.flops_at_steps.append(self.counter.total - sum(self.validation_flops))
        every = self.method.validate_every
        if every and self.trainer.global_step % every == 0:
            self._validate()

    def on_train_end(self) -> None:
        """Validate the last weights and finish within the adapt stage, then end it."""
        if self.method.validate_every and self.validated_at < self.trainer.global_step:
            self._validate()
        self._moved = (None, None)
        with torch.no_grad():
            self.method.finish()
        super().on_train_end()

    def _validate(self) -> None:
        self.validated_at = self.trainer.global_step
        before = self.counter.total if self.counter is not None else 0
        with torch.no_grad():
            self.method.validate()
        if self.counter is not None:
            self.validation_flops.append(self.counter.total - before)
