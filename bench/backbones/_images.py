"""Conversion of images to RGB."""

from typing import Any

import numpy as np
from PIL import Image

from bench.contracts import DataError
from bench.contracts.errors import one_line

_DEEP_STEP = 257  # 65535 / 255: PIL clips 16-bit grey at 255 where it should scale
LONGEST = 16
"""An image longer than this many times its width is cut to it: scaled to fit, a 1 x 4,000 line takes a gigabyte."""


def shortened(image: Image.Image) -> Image.Image:
    """The middle of an image that is too long and thin; any other image unchanged.

    Args:
        image: The image.

    Returns:
        An image of at most 16 to 1.
    """
    limit = LONGEST * min(image.size)
    if max(image.size) <= limit:
        return image
    left, top = max(0, (image.width - limit) // 2), max(0, (image.height - limit) // 2)
    return image.crop((left, top, left + min(image.width, limit), top + min(image.height, limit)))


def to_rgb(raw: Any) -> Image.Image:
    """Convert a PIL image of any mode to 8-bit RGB; transparent parts over white, 16-bit grey scaled to 8 bits.

    Mode ``I`` counts as 16-bit grey, as PIL reads deep PNG and TIFF files; mode ``F`` counts as 0..255.

    Args:
        raw: The image.

    Returns:
        The image in mode ``RGB``.

    Raises:
        DataError: If ``raw`` is no PIL image, has no pixels or is truncated.
    """
    if not isinstance(raw, Image.Image):
        raise DataError(f"an image task needs PIL images, got {type(raw).__name__}")
    if min(raw.size) < 1:
        raise DataError(f"an image needs at least one pixel, got {raw.width} x {raw.height}")
    try:
        raw.load()
        return _convert(raw)
    except Exception as error:  # Pillow raises any kind, by format and mode
        name = getattr(raw, "filename", "") or f"the {raw.format or 'image'} file"
        raise DataError(f"{name} cannot be read: {one_line(error)}") from error


def _convert(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode == "I" or image.mode.startswith("I;16"):
        deep = np.asarray(image, dtype=np.int64).clip(0, 65535)
        return Image.fromarray((deep // _DEEP_STEP).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        opaque = image.convert("RGBA")
        page = Image.new("RGBA", opaque.size, "white")
        return Image.alpha_composite(page, opaque).convert("RGB")
    return image.convert("RGB")
