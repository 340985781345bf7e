"""Lightning trainers: device, precision and data loading of a run."""

import logging
import warnings
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Self

import torch
from lightning import Trainer
from lightning.fabric.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from lightning.fabric.utilities import registry as lightning_registry
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.rank_zero import rank_zero_only

from bench.contracts import UsageError
from bench.contracts.errors import one_line
from bench.engine.lightning_plugins import WEIGHTS, KeptCuda, KeptOnDevice, WeightPrecision
from bench.engine.parent_death import FORKS
from bench.meters.cpu import cpu_model
from bench.spec.strategies import require_strategy
from bench.toolkit.precision import has_float64

# Each trainer reads the metadata of all installed packages for callbacks of theirs, which takes longer than many a fit.
lightning_registry.entry_points = cache(entry_points)  # type: ignore[attr-defined,assignment]
# Lightning takes the numbers of processes that a cluster starts for ranks of one training, of which only the first
# logs. Here each process runs on its own.
rank_zero_only.rank = 0  # type: ignore[attr-defined]


@dataclass(frozen=True)
class DeviceOptions:
    """Accelerator, precision and data loading.

    Attributes:
        accelerator: Lightning's name of the accelerator; ``cuda:1`` for the second of the GPUs that
            CUDA_VISIBLE_DEVICES shows.
        devices: Number of devices of a run, which is 1 without a strategy.
        precision: Lightning's name of the precision, used wherever the backbone runs. Methods on features stay in
            float32, because closed-form fits need it and cost little.
        workers: Number of data workers; 0 loads in the main process.
        batch_size: Items per batch of encoding.
        strategy: How several devices hold one language model, of ``STRATEGIES``; None for a run on one device. Such a
            model is split in the worker process; the options of trainers are those of the first device.
    """

    accelerator: str = "auto"
    devices: int = 1
    precision: str = "32-true"
    workers: int = 0
    batch_size: int = 32
    strategy: str | None = None

    def __post_init__(self) -> None:
        """Require one device, or a strategy that takes their number and the precision.

        Raises:
            UsageError: For anything else.
        """
        require_strategy(self.strategy, self.devices)
        if self.strategy is not None and self.precision in WEIGHTS:
            raise UsageError(
                f"--strategy {self.strategy} keeps weights in the type in which they are loaded, got --precision "
                f"{self.precision}; load them so, as by --backbone hf:MODEL,dtype=bfloat16"
            )

    def _plugins(self, runs_backbone: bool) -> dict[str, Any]:
        precision = self.precision if runs_backbone else "32-true"
        # Processes that SLURM or MPI starts are no ranks of one training.
        if precision in WEIGHTS:
            return {"plugins": [WeightPrecision(precision), LightningEnvironment()]}
        return {"plugins": [LightningEnvironment()], "precision": precision}

    def trainer(self, *, runs_backbone: bool = True, **options: Any) -> Trainer:
        """A Trainer without progress bar, summary and, by default, logger and checkpoints.

        What it has moved to the device stays there.

        Args:
            runs_backbone: Whether the backbone runs; without it the precision is float32.
            **options: Further arguments of Lightning's Trainer.

        Returns:
            The trainer, on this device and in this precision.
        """
        device = self.working_device(runs_backbone)
        return Trainer(
            accelerator=KeptCuda() if device.type == "cuda" else device.type,
            devices=1,
            strategy=KeptOnDevice(device),
            **self._plugins(runs_backbone),
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
        """The device that runs are computed on.

        Returns:
            The device.

        Raises:
            UsageError: The device or the precision cannot be used here.
        """
        return _root_device(self)

    def working_device(self, runs_backbone: bool) -> torch.device:
        """The device of one run.

        Args:
            runs_backbone: Whether the run's method runs the backbone.

        Returns:
            The root device; the CPU for methods on features where that has no float64, which closed forms need.
        """
        device = self.root_device()
        return device if runs_backbone or has_float64(device) else torch.device("cpu")

    def computes_bfloat16(self) -> bool:
        """Whether the device is a GPU that computes in bfloat16 itself; older ones emulate it."""
        device = self.root_device()
        return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)

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

        With a strategy, number of devices and strategy are named too, as costs of such runs are others.

        Returns:
            The name.

        Raises:
            UsageError: The device or the precision cannot be used here.
        """
        model = self._model()
        return model if self.strategy is None else f"{model} x {self.devices} ({self.strategy})"

    def _model(self) -> str:
        device = self.root_device()
        return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_model()

    def device_id(self) -> str:
        """Model of the device and, of a GPU, its own number: what one process can use alone.

        Of several devices it is the first.

        Returns:
            The text.

        Raises:
            UsageError: The device or the precision cannot be used here.
        """
        device = self.root_device()
        number = f" {torch.cuda.get_device_properties(device).uuid}" if device.type == "cuda" else ""
        return f"{self._model()}{number}"


@cache
def _root_device(options: DeviceOptions) -> torch.device:
    kind, _, number = options.accelerator.partition(":")
    try:
        # Lightning's own choice, with its own messages where there is none.
        trainer = Trainer(
            accelerator=kind, devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, **options._plugins(runs_backbone=True),
        )  # fmt: skip
        device: torch.device = trainer.strategy.root_device
        _require_precision(device, options.precision)
        device = _numbered(device, number)
        _require_devices(device, options)
        return device
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise UsageError(
            f"--accelerator {options.accelerator} --precision {options.precision} cannot be used here: "
            f"{one_line(error)}"
        ) from None


def _require_precision(device: torch.device, precision: str) -> None:
    if device.type == "cpu" and precision == "16-mixed":
        raise ValueError("a CPU has no float16 beside float32; use bf16-mixed or 16-true")
    if not has_float64(device) and precision == "64-true":
        raise ValueError(f"{device.type} has no float64; use --accelerator cpu")


def _require_devices(device: torch.device, options: DeviceOptions) -> None:
    """Require the devices of a strategy."""
    if options.strategy is None:
        return
    if not FORKS:
        raise ValueError(f"--strategy {options.strategy} needs Linux, whose processes can be forked")
    if device.type == "cuda":
        there = torch.cuda.device_count() - (device.index or 0)
        if there < options.devices:
            raise ValueError(
                f"--strategy {options.strategy} needs {options.devices} GPUs, got {there} from this one on"
            )
    elif device.type != "cpu" or options.strategy == "device_map":
        raise ValueError(f"--strategy {options.strategy} distributes a model over GPUs, and {device.type} is none")


def _numbered(device: torch.device, number: str) -> torch.device:
    """The device with a number of the user's, if there is one."""
    if not number:
        return device
    count = torch.cuda.device_count() if device.type == "cuda" else 0
    if not number.isdecimal() or int(number) >= count:
        raise ValueError(f"{count} GPUs can be chosen by a number from 0 on, got {number!r}")
    return torch.device("cuda", int(number))


@dataclass(frozen=True)
class KnownDevice(DeviceOptions):
    """Options of a device that other processes use, with its kind and model as they found them.

    Attributes:
        kind: Kind of the device.
        model: Model of the device.
    """

    kind: str = ""
    model: str = ""

    @classmethod
    def of(cls, options: DeviceOptions, kind: str, model: str) -> Self:
        """Options with a known device.

        Args:
            options: The options.
            kind: Kind of the device.
            model: Model of the device.

        Returns:
            The options of both.
        """
        return cls(**vars(options), kind=kind, model=model)

    def device_kind(self) -> str:
        """The known kind."""
        return self.kind

    def device_name(self) -> str:
        """The known model."""
        return self.model


def quiet_lightning() -> None:
    """Silence Lightning's messages at the start of a trainer; a run makes many trainers."""
    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",
        ".*configure_optimizers` returned `None`.*",
        ".*predict returned None.*",
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
