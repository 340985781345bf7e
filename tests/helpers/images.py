"""A user's data for tests: small images in folders and Parquet, and the command line to run on them."""

import io
import zlib
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from datasets import Dataset
from PIL import Image


def png(image: Image.Image) -> bytes:
    """The image as the bytes of a file."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def noise(seed: int, brightness: int = 128) -> Image.Image:
    """A grey picture of its own."""
    pixels = np.random.default_rng(seed).normal(brightness, 30, (12, 12))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def write_folders(root: Path, sizes: dict[str, int]) -> Path:
    """A folder of ``sizes`` pictures for each class, which resemble each other; no picture is in two folders."""
    own = zlib.crc32(root.name.encode())
    for label, (name, size) in enumerate(sizes.items()):
        (root / name).mkdir(parents=True)
        for number in range(size):
            ramp = np.linspace(-60, 60, 12) if label % 2 else np.linspace(60, -60, 12)
            pixels = np.asarray(noise(own + 1000 * label + number), dtype=float) + ramp
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / name / f"{number:03}.png")
    return root


def write_parquet(path: Path, images: list[bytes], labels: list[Any], label: Any) -> None:
    """Rows of ``image`` and ``label``; label: the feature that the labels are of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    features = datasets.Features({"image": datasets.Image(), "label": label})
    rows = {"image": [{"bytes": image, "path": None} for image in images], "label": labels}
    Dataset.from_dict(rows, features).to_parquet(path)
