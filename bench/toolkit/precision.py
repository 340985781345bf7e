"""Types of numbers on a device: what mixed precision changes, and devices without float64."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

WITHOUT_FLOAT64 = frozenset({"mps"})
"""Kinds of devices without float64, which closed forms need."""


def has_float64(device: torch.device) -> bool:
    """Whether a device has float64; closed forms are computed on the CPU for one that has not.

    Args:
        device: The device.

    Returns:
        False for Apple's GPUs.
    """
    return device.type not in WITHOUT_FLOAT64


def without_autocast(states: Tensor) -> AbstractContextManager[Any]:
    """Context in which operations on the device of hidden states keep to the types of their operands.

    Mixed precision is for the network: products in a memory stay in float32 and float64.

    Args:
        states: Hidden states.

    Returns:
        The context.
    """
    kind = states.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()
