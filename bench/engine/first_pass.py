"""The first pass of a server, before it is forked: its forks find what Lightning makes once in a process."""

from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler

from bench.engine.trainer import DeviceOptions


class _Idle(LightningModule):
    """A module that learns nothing and answers nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """No optimizer."""
        return None

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Nothing to learn."""

    def predict_step(self, batch: Any, batch_idx: int) -> None:
        """Nothing to answer."""


def first_pass() -> None:
    """Fit and predict nothing, on the CPU and without threads.

    Where there is a GPU only a trainer is made: fitting reads the state of CUDA's random numbers, which starts the
    driver, and a started driver does not survive a fork.
    """
    options = DeviceOptions(accelerator="cpu")
    trainer = options.trainer(max_epochs=1)
    if torch.cuda.device_count():
        return
    DeviceOptions().root_device()
    module = _Idle()
    trainer.fit(module, range(1))
    options.trainer().predict(module, range(1))
