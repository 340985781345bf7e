"""Parts of Lightning's trainers that keep more than its own: types of scores, and what is on the device."""

from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.accelerators import CUDAAccelerator
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning_utilities import apply_to_collection
from torch import Tensor, nn

from bench.contracts import Items

WEIGHTS = {"64-true": torch.float64, "bf16-true": torch.bfloat16, "16-true": torch.float16}
"""Types of the backbone's weights by precision; float32 in all others."""


class WeightPrecision(Precision):
    """Precision of the backbone's weights and inputs alone; keys, labels and a method's parameters stay in float32.

    Lightning's own plugins convert the whole module, and set a default type that would round scores.
    """

    def __init__(self, precision: str) -> None:
        self.precision = precision  # type: ignore[assignment]
        self.dtype = WEIGHTS[precision]

    def convert_module(self, module: nn.Module) -> nn.Module:
        """The module with its backbone, if it has one, in this precision."""
        backbone = getattr(module, "backbone", None)
        if isinstance(backbone, nn.Module):
            backbone.to(self.dtype)
        return module

    def convert_input(self, data: Any) -> Any:
        """A backbone's inputs in the precision of its weights; batches of items keep their precision."""
        return data if isinstance(data, Items) else apply_to_collection(data, Tensor, self._converted)

    def _converted(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor


class KeptCuda(CUDAAccelerator):
    """CUDA with the allocator's memory and the workspaces of libraries kept from one trainer to the next.

    Lightning empties both at the start and at the end of each, so that every measured stage would allocate anew.
    """

    def setup(self, trainer: Trainer) -> None:
        """Nothing to empty."""

    def teardown(self) -> None:
        """Nothing to empty."""


class KeptOnDevice(SingleDeviceStrategy):
    """One device, on which weights stay after a trainer has ended: they are moved there once per process."""

    def teardown(self) -> None:
        """Release the plugins; Lightning's own strategy moves the module to the CPU as well."""
        self.precision_plugin.teardown()
        self.checkpoint_io.teardown()
