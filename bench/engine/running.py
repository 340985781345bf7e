"""A language model that runs outside of Lightning's trainers as it does inside them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bench.contracts import LanguageBackbone
from bench.engine.lightning_plugins import WEIGHTS
from bench.engine.trainer import DeviceOptions


@contextmanager
def running(backbone: LanguageBackbone, devices: DeviceOptions) -> Iterator[torch.device]:
    """Context in which a model is on a device in a precision, and its passes keep nothing for gradients.

    Args:
        backbone: The model; it stays on the device, with weights in the precision.
        devices: Device and precision.

    Yields:
        The device.
    """
    device = devices.root_device()
    backbone.to(device, WEIGHTS.get(devices.precision))
    with torch.no_grad(), devices.trainer().precision_plugin.forward_context():
        yield device
