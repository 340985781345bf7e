"""Images as inputs of a network, by the transform that belongs to its weights."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from bench.backbones._images import shortened, to_rgb
from bench.contracts import Backbone


class TransformedImages(Backbone):
    """A backbone of images; a subclass sets the transform and computes features."""

    _transform: Callable[[Any], Any]
    """Function from an RGB image to ``[3, height, width]``."""

    def prepare(self, raw: Any) -> Tensor:
        """One PIL image of any mode and size as ``[3, height, width]``.

        Args:
            raw: The image.

        Returns:
            Pixels after the model's own transform.

        Raises:
            DataError: If the image is unreadable.
        """
        prepared: Tensor = self._transform(shortened(to_rgb(raw)))
        return prepared

    def collate(self, prepared: Sequence[Tensor]) -> Tensor:
        """``[item, 3, height, width]``."""
        return torch.stack(list(prepared))
