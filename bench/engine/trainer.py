"""Lightning trainers: device, precision and data loading of a run."""

import logging
import warnings
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Literal, Self

import torch
from lightning import Trainer
from lightning.fabric.utilities import registry as lightning_registry
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.plugins.precision import HalfPrecision
from torch import nn

from bench.contracts import Items, UsageError
from bench.meters.cpu import cpu_model

# Each trainer reads the metadata of all installed packages for callbacks of theirs, which takes longer than many a fit.
lightning_registry.entry_points = cache(entry_points)  # type: ignore[attr-defined,assignment]

HALF: dict[str, Literal["bf16-true", "16-true"]] = {"bf16-true": "bf16-true", "16-true": "16-true"}


class _HalfPrecision(HalfPrecision):
    """Lightning's half precision for the backbone alone; keys, labels and a method's parameters stay in float32."""

    def convert_module(self, module: nn.Module) -> nn.Module:
        """The module with its backbone, if it has one, in half precision."""
        backbone = getattr(module, "backbone", None)
        if isinstance(backbone, nn.Module):
            backbone.to(self._desired_input_dtype)
        return module

    def convert_input(self, data: Any) -> Any:
        """A backbone's inputs in the precision of its weights; batches of items keep their precision."""
        return data if isinstance(data, Items) else super().convert_input(data)


@dataclass(frozen=True)
class DeviceOptions:
    """Accelerator, precision and data loading.

    Attributes:
        accelerator: Lightning's name of the accelerator.
        devices: Number of devices.
        precision: Lightning's name of the precision, used wherever the backbone runs. Methods on features stay in
            float32, because closed-form fits need it and cost little.
        workers: Number of data workers; 0 loads in the main process.
        batch_size: Items per batch of encoding.
    """

    accelerator: str = "auto"
    devices: int = 1
    precision: str = "32-true"
    workers: int = 0
    batch_size: int = 32

    def _precision(self, runs_backbone: bool) -> dict[str, Any]:
        precision = self.precision if runs_backbone else "32-true"
        if precision in HALF:
            return {"plugins": [_HalfPrecision(HALF[precision])]}
        return {"precision": precision}

    def trainer(self, *, runs_backbone: bool = True, **options: Any) -> Trainer:
        """A Trainer without progress bar, summary and, by default, logger and checkpoints.

        Args:
            runs_backbone: Whether the backbone runs; without it the precision is float32.
            **options: Further arguments of Lightning's Trainer.

        Returns:
            The trainer, on this device and in this precision.
        """
        return Trainer(
            accelerator=self.accelerator,
            devices=self.devices,
            **self._precision(runs_backbone),
            logger=options.pop("logger", False),
            enable_checkpointing=options.pop("enable_checkpointing", False),
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            **options,
        )

    def with_precision(self, precision: str) -> Self:
        """A copy of these options at another precision."""
        return replace(self, precision=precision)

    def root_device(self) -> torch.device:
        """The device that runs are computed on; the first of several.

        Returns:
            The device.

        Raises:
            UsageError: The device or the precision cannot be used here.
        """
        return _root_device(self)

    def device_kind(self) -> str:
        """Kind of the device that runs are computed on: "cpu", "cuda" or "mps".

        Returns:
            The kind.

        Raises:
            UsageError: The device or the precision cannot be used here.
        """
        return self.root_device().type

    def device_name(self) -> str:
        """Model of the device that runs are computed on, such as "NVIDIA A100-SXM4-80GB" or the name of the CPU.

        Returns:
            The name.

        Raises:
            UsageError: The device or the precision cannot be used here.
        """
        device = self.root_device()
        return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_model()


@cache
def _root_device(options: DeviceOptions) -> torch.device:
    try:
        return options.trainer().strategy.root_device
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"--accelerator {options.accelerator} --devices {options.devices} --precision {options.precision} "
            f"cannot be used here: {reason}"
        ) from None


def quiet_lightning() -> None:
    """Silence Lightning's messages at the start of a trainer; a run makes many trainers."""
    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",
        ".*configure_optimizers` returned `None`.*",
        ".*is smaller than the logging interval.*",
        ".*GPU available but not used.*",
        ".*worker processes in total.*",
        ".*`isinstance.treespec, LeafSpec.` is deprecated.*",
        ".*nn.Modules and hooks in eval mode.*",
        ".*found .* module.s. in eval mode.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*callbacks used to create the checkpoint need to be provided.*",
        # A resumed training continues with the next batch, so that this warning does not apply.
        ".*resuming from a checkpoint that ended before the epoch ended.*",
    ):
        warnings.filterwarnings("ignore", message=message)
