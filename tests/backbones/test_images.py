import io
import warnings

import numpy as np
import pytest
from PIL import Image

from bench.backbones._images import to_rgb
from bench.contracts import DataError


def pixel(image: Image.Image) -> tuple[int, ...]:
    converted = to_rgb(image)
    assert converted.mode == "RGB"
    assert converted.size == image.size
    return tuple(np.asarray(converted)[0, 0])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "HSV", "LAB", "I", "F", "I;16"])
def test_every_mode_becomes_rgb_of_the_same_size(mode: str) -> None:
    assert to_rgb(Image.new(mode, (3, 2))).size == (3, 2)
    assert to_rgb(Image.new(mode, (3, 2))).mode == "RGB"


def test_transparent_pixels_show_white() -> None:
    assert pixel(Image.new("RGBA", (1, 1), (255, 0, 0, 0))) == (255, 255, 255)
    assert pixel(Image.new("LA", (1, 1), (0, 0))) == (255, 255, 255)
    assert pixel(Image.new("RGBA", (1, 1), (255, 0, 0, 255))) == (255, 0, 0)
    red, green, blue = pixel(Image.new("RGBA", (1, 1), (255, 0, 0, 128)))
    assert red == 255
    assert 120 < green == blue < 135


def test_transparent_palette_entry_shows_white() -> None:
    image = Image.new("P", (2, 1), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.putpixel((0, 0), 0)
    image.info["transparency"] = 0
    assert np.asarray(to_rgb(image)).tolist() == [[[255, 255, 255], [10, 20, 30]]]


def test_deep_grey_is_scaled_not_clipped() -> None:
    deep = Image.fromarray(np.array([[0, 32896, 65535]], dtype=np.uint16))
    assert deep.mode == "I;16"
    assert np.asarray(to_rgb(deep))[0, :, 0].tolist() == [0, 128, 255]
    assert np.asarray(to_rgb(deep.convert("I")))[0, :, 0].tolist() == [0, 128, 255]


def test_cmyk_white_and_black() -> None:
    assert pixel(Image.new("CMYK", (1, 1), (0, 0, 0, 0))) == (255, 255, 255)
    assert pixel(Image.new("CMYK", (1, 1), (0, 0, 0, 255))) == (0, 0, 0)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "TIFF"])
def test_truncated_file_is_a_one_line_error(file_format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, file_format)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cut = Image.open(io.BytesIO(file.getvalue()[: len(file.getvalue()) // 2]))
        with pytest.raises(DataError, match=f"the {file_format} file cannot be read") as caught:
            to_rgb(cut)
    assert "\n" not in str(caught.value)


def test_what_is_no_image_is_named() -> None:
    with pytest.raises(DataError, match="PIL images, got ndarray"):
        to_rgb(np.zeros((2, 2)))
    with pytest.raises(DataError, match="at least one pixel, got 0 x 2"):
        to_rgb(Image.new("RGB", (0, 2)))
