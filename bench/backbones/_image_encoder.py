"""Image encoders without a text encoder: from a network and its transform to features."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor, nn

from bench.backbones._transformed_images import TransformedImages
from bench.contracts import EncoderBackbone, Features, Kind, UsageError, features_of


class ImageEncoder(EncoderBackbone, TransformedImages):
    """A network from images to pooled features; keys are these at unit length.

    Attributes:
        net: The network, frozen, from ``[item, 3, height, width]`` to ``[item, dim]``.
    """

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.IMAGE_CLASSIFICATION})
    net: nn.Module

    def __init__(self, name: str, net: nn.Module, transform: Callable[[Any], Any], fingerprint: str) -> None:
        """Take a network.

        Args:
            name: The backbone's name, for messages.
            net: The network.
            transform: Function from an RGB image to its input ``[3, height, width]``.
            fingerprint: Hash of weights, config and transform.

        Raises:
            UsageError: If the network has no pooled features.
        """
        super().__init__()
        self.net = net.eval().requires_grad_(False)
        self._transform, self._fingerprint = transform, fingerprint
        image = transform(Image.new("RGB", (64, 64), "grey"))[None]
        try:
            with torch.no_grad():
                shape = list(self.net(image).shape)
        except AttributeError:  # a list or a dictionary of feature maps
            shape = []
        if len(shape) != 2:
            got = f"an output of shape {shape}" if shape else "several outputs"
            raise UsageError(f"{name} has no pooled features, which a backbone needs: it has {got}; use another model")

    @property
    def fingerprint(self) -> str:
        """Hash of the weights, the config and the transform."""
        return self._fingerprint

    def encode(self, batch: Tensor) -> Features:
        """Features of a batch of images; gradients pass through."""
        weight = next(self.net.parameters())
        return features_of(self.net(batch.to(weight.device, weight.dtype)))
