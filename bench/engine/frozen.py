"""Check that a method leaves its backbone as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch.plugins.precision import HalfPrecision
from torch import Tensor, nn

from bench.contracts import BenchError, InputMode
from bench.engine.trainer import HALF, DeviceOptions
from bench.spec.resolve import ResolvedRun

SHOWN = 3
"""Number of changed tensors that a message names."""


class BackboneChangedError(BenchError):
    """A method changed the frozen backbone that all methods share."""


@contextmanager
def frozen(backbone: Any, method: str) -> Iterator[None]:
    """Require that the backbone is the same after the block as before.

    Version counters of tensors miss what is written through ``tensor.data``, so all weights are summed, which reads
    them once before and once after: 0.1 s for 500 MB.

    Args:
        backbone: The backbone; anything but a torch module passes.
        method: Name of the method, for the message.

    Raises:
        BackboneChangedError: A parameter or buffer was changed, added or removed, or a module was left in another mode.
    """
    before = _state(backbone)
    yield
    after = _state(backbone)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if changed:
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        raise BackboneChangedError(
            f"{method} must leave the frozen backbone as it was, and changed {', '.join(changed[:SHOWN])}{more}; "
            "train a copy, or restore what you change before predict returns"
        )


@contextmanager
def kept_frozen(backbone: Any, run: ResolvedRun, devices: DeviceOptions) -> Iterator[None]:
    """Require that a run's method leaves its backbone as it is, in the precision of the run.

    Args:
        backbone: The backbone.
        run: The run.
        devices: Device and precision.

    Raises:
        BackboneChangedError: As for ``frozen``.
    """
    to_precision_of(run, backbone, devices)
    with frozen(backbone, run.method_at_site):
        yield


def to_precision_of(run: ResolvedRun, backbone: Any, devices: DeviceOptions) -> None:
    """Bring a backbone to the precision of a run that runs it, as the first fit would do.

    Args:
        run: The run; methods on features leave the backbone as it is.
        backbone: The backbone.
        devices: Device and precision.
    """
    if run.input_mode is InputMode.INPUTS and devices.precision in HALF and isinstance(backbone, nn.Module):
        HalfPrecision(HALF[devices.precision]).convert_module(backbone)


def _state(backbone: Any) -> dict[str, Any]:
    """A checksum of each tensor of a module and the mode of each of its modules, by name."""
    if not isinstance(backbone, nn.Module):
        return {}
    tensors = {**dict(backbone.named_parameters()), **dict(backbone.named_buffers())}
    modes = {f"the mode of {name or 'the backbone'}": module.training for name, module in backbone.named_modules()}
    return {name: (tensor.shape, tensor.dtype, _checksum(tensor)) for name, tensor in tensors.items()} | modes


def _checksum(tensor: Tensor) -> tuple[int, str]:
    """Two sums over a tensor, by exclusive or and by addition: each misses changes that the other sees."""
    content = tensor.detach()
    if content.numel() == 0:
        return 0, ""
    total = content.sum(dtype=None if content.is_floating_point() or content.is_complex() else torch.int64)
    return int(torch.hash_tensor(content).view(torch.int64)), str(total.item())
