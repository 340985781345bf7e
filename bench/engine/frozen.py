"""Check that a method leaves its backbone as it was."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from bench.contracts import BenchError, InputMode
from bench.engine.lightning_plugins import WEIGHTS
from bench.engine.split_blocks import local_part
from bench.engine.trainer import DeviceOptions
from bench.spec.resolve import ResolvedRun

SHOWN = 3
"""Number of changed tensors that a message names."""

HASHING = ("cpu", "cuda")
"""Kinds of devices on which torch hashes tensors."""
WORD = 8
"""Bytes that are summed at once."""
_LOADED: WeakKeyDictionary[nn.Module, dict[str, Any]] = WeakKeyDictionary()
"""States of backbones as they were loaded, in a process whose forks use each but once."""


class BackboneChangedError(BenchError):
    """A method changed the frozen backbone that all methods share."""


@contextmanager
def frozen(backbone: Any, method: str) -> Iterator[Callable[[], None]]:
    """Require that the backbone is the same after the block as before.

    Version counters of tensors miss what is written through ``tensor.data``, so all weights are summed before and
    after: 0.05 s for 500 MB. A fork of a process that called ``remember`` knows the sums of before.

    Args:
        backbone: The backbone; anything but a torch module passes.
        method: Name of the method, for the message.

    Yields:
        A function that makes the same check within the block.

    Raises:
        BackboneChangedError: A parameter or buffer was changed, added or removed, or a module was left in another mode.
    """
    before = _before(backbone)

    def check() -> None:
        after = _state(backbone)
        changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        if changed:
            more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
            raise BackboneChangedError(
                f"{method} must leave the frozen backbone as it was, and changed {', '.join(changed[:SHOWN])}{more}; "
                "train a copy, or restore what you change before predict returns"
            )

    yield check
    check()


@contextmanager
def kept_frozen(
    backbone: Any, run: ResolvedRun, devices: DeviceOptions, checked: bool = True
) -> Iterator[Callable[[], None]]:
    """Require that a run's method leaves its backbone as it is, in the precision of the run.

    Args:
        backbone: The backbone.
        run: The run.
        devices: Device and precision.
        checked: Whether it is required. In a process of its own a changed backbone harms no other run, and reading all
            weights takes longer than many a pass.

    Yields:
        A function that makes the same check within the block.

    Raises:
        BackboneChangedError: As for ``frozen``.
    """
    to_precision_of(run, backbone, devices)
    with frozen(backbone, run.method_at_site) if checked else nullcontext(_nothing) as check:
        yield check


def _nothing() -> None:
    """No check."""


def to_precision_of(run: ResolvedRun, backbone: Any, devices: DeviceOptions) -> None:
    """Bring a backbone to the precision of a run that runs it, as the first fit would do.

    Args:
        run: The run; methods on features leave the backbone as it is.
        backbone: The backbone.
        devices: Device and precision.
    """
    if run.input_mode is InputMode.INPUTS and devices.precision in WEIGHTS and isinstance(backbone, nn.Module):
        backbone.to(WEIGHTS[devices.precision])


def remember(backbone: Any) -> None:
    """Keep the state of a backbone for all later checks in forks of this process.

    Args:
        backbone: The backbone, just loaded; this process itself must not use it.
    """
    if isinstance(backbone, nn.Module):
        _LOADED[backbone] = _state(backbone)


def _before(backbone: Any) -> dict[str, Any]:
    """The state as it was loaded, if it is known and the tensors are still of these types; else the present one."""
    loaded = _LOADED.get(backbone) if isinstance(backbone, nn.Module) else None
    if loaded is None or any(loaded.get(name, ())[:2] != _form(tensor) for name, tensor in _tensors(backbone)):
        return _state(backbone)
    return loaded


def _state(backbone: Any) -> dict[str, Any]:
    """A checksum of each tensor of a module and the mode of each of its modules, by name."""
    if not isinstance(backbone, nn.Module):
        return {}
    modes = {f"the mode of {name or 'the backbone'}": module.training for name, module in backbone.named_modules()}
    return {name: (*_form(tensor), *_checksums(tensor)) for name, tensor in _tensors(backbone)} | modes


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _form(tensor: Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype


def _checksums(tensor: Tensor) -> tuple[int, ...]:
    """Two sums over the bits of a tensor, by exclusive or and by addition: each misses changes that the other sees."""
    # Sums of integers are exact, so that neither the number of threads nor the device makes a difference.
    tensor = local_part(tensor).detach()
    tensor = tensor if tensor.device.type in HASHING else tensor.cpu()
    octets = tensor.contiguous().flatten().view(torch.uint8)
    if octets.storage_offset() % WORD:
        octets = octets.clone()
    whole = octets.numel() // WORD * WORD
    words, rest = octets[:whole].view(torch.int64), octets[whole:].tolist()
    if not whole:
        return tuple(rest)
    return int(torch.hash_tensor(words).view(torch.int64)), int(words.sum()), *rest
