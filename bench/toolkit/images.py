"""Pools of encoded images with lazy decoding."""

import io
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from PIL import Image, ImageOps

from bench.contracts.errors import DataError, one_line
from bench.contracts.task import Pool
from bench.toolkit.columns import integer_labels, require_columns

STORED = pa.struct({"bytes": pa.binary(), "path": pa.string()})
"""How a pool stores an image: encoded bytes with a name for messages, or the path of a file."""
MOST_PIXELS = 2**27
"""Largest number of pixels; a small file may claim more than the memory holds."""
NOT_DECODED = frozenset({"EPS", "WMF", "FPX", "MIC", "GRIB", "BUFR", "HDF5", "MPEG"})
"""Formats that Pillow opens by running another program, or does not decode at all."""
SHOWN = 3
"""Number of rows at fault that a message names."""


def image_pool(name: str, dataset: Dataset, image: str, label: str) -> Pool:
    """A pool of the images in a data set, with lazy decoding; reading a broken image raises DataError with its row.

    Args:
        name: Name of task and split, for messages.
        dataset: The rows.
        image: Column of PNG or JPEG bytes, as ``datasets`` stores images.
        label: Column of integer labels.

    Returns:
        The pool.

    Raises:
        DataError: If a column is missing or a label is not an integer.
    """
    require_columns(name, dataset, image, label)
    return Pool(encoded_images(name, dataset, image), integer_labels(name, dataset[label]))


@cache
def image_formats() -> tuple[str, ...]:
    """Names of the formats that are decoded."""
    Image.init()
    return tuple(sorted(Image.OPEN.keys() - NOT_DECODED))


def encoded_images(name: str, dataset: Dataset, image: str, folder: Path | None = None) -> Dataset:
    """Images of a data set, with lazy decoding.

    Args:
        name: Name of the data, for messages.
        dataset: The rows; without an index of selected rows, which would be ignored.
        image: Column of PNG or JPEG bytes, as ``datasets`` stores images.
        folder: Folder that paths of images without bytes start from; None where there are none.

    Returns:
        A data set of the one column ``input``.

    Raises:
        DataError: For a column of another type, and for paths without a file, with their number and the first rows.
    """
    try:
        column = dataset.cast_column(image, datasets.Image(decode=False)).data.column(image)
    except Exception as error:  # pyarrow and datasets raise many kinds
        raise DataError(f"{name} needs images in the column {image!r}: {one_line(error)}") from error
    files = [] if folder is None else _paths(name, column, folder)
    # The file names in the data are of no use to a reader of an error message; the row is. Chunk by
    # chunk, the image bytes stay where they are, in memory-mapped files.
    chunks, row = [], 0
    for chunk in column.chunks:
        rows = pa.array([f"{name} row {row + offset}" for offset in range(len(chunk))], pa.string())
        content = pc.fill_null(chunk.field("bytes"), b"")
        if files:
            given = pa.array(files[row : row + len(chunk)], pa.string())
            content = pc.if_else(pc.is_valid(given), pa.scalar(None, pa.binary()), content)
            rows = pc.coalesce(given, rows)
        chunks.append(pa.StructArray.from_arrays([content, rows], names=["bytes", "path"]))
        row += len(chunk)
    return Dataset(pa.table({"input": pa.chunked_array(chunks, STORED)})).with_transform(decoded)


def _paths(name: str, column: pa.ChunkedArray, folder: Path) -> list[str | None]:
    """Path of the file of each image without bytes, None for the others; empty where all have bytes."""
    if all(chunk.field("bytes").null_count == 0 for chunk in column.chunks):
        return []
    found: list[str | None] = []
    missing = []
    for row, stored in enumerate(each.as_py() or {} for chunk in column.chunks for each in chunk):
        if stored.get("bytes") is not None:
            found.append(None)
            continue
        given = stored.get("path")
        path = folder / given if given and "\0" not in given else None
        found.append(None if path is None else str(path))
        if path is None or not path.is_file():
            missing.append(f"row {row} ({given or 'no path'})")
    if missing:
        raise DataError(
            f"{name} has {len(missing)} images without bytes whose files are not found from {folder}: "
            f"{', '.join(missing[:SHOWN])}{', ...' if len(missing) > SHOWN else ''}; add or remove them"
        )
    return found


def files_of(images: Dataset) -> list[Path]:
    """The files that a data set of images reads beside its own.

    Args:
        images: A data set of the one column ``input``.

    Returns:
        Their paths, by row.
    """
    stored = images.data.column("input").chunks
    return [Path(each["path"].as_py()) for chunk in stored for each in chunk if not each["bytes"].is_valid]


def image_files(paths: Sequence[Path]) -> Dataset:
    """Image files as a data set; a file is opened when its row is read.

    Args:
        paths: The files.

    Returns:
        A data set of the one column ``input``.
    """
    stored = pa.array([{"bytes": None, "path": str(path)} for path in paths], STORED)
    return Dataset(pa.table({"input": stored})).with_transform(decoded)


def decoded(batch: dict[str, list[dict[str, Any]]]) -> dict[str, list[Image.Image]]:
    """Decode the images of some rows.

    Args:
        batch: The column ``input``, as STORED: the ``bytes`` of each image and, as ``path``, its name for messages; or
            no bytes and the path of its file.

    Returns:
        The column ``input`` as PIL images.

    Raises:
        DataError: For a broken image, with its name.
    """
    opened = [row["path"] if row["bytes"] is None else io.BytesIO(row["bytes"]) for row in batch["input"]]
    return {"input": [_open(source, row["path"]) for source, row in zip(opened, batch["input"], strict=True)]}


def _open(source: io.BytesIO | str, name: str) -> Image.Image:
    """Decode an image and rotate it by its EXIF orientation.

    Returns:
        The image.

    Raises:
        DataError: If it is unreadable.
    """
    try:
        # Pillow warns of damaged metadata, and of sizes that are checked here.
        with warnings.catch_warnings(action="ignore"), Image.open(source, formats=image_formats()) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"it has {image.width} x {image.height} pixels, {MOST_PIXELS:,} are allowed")
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
    except Exception as error:  # a damaged file makes Pillow's decoders raise any kind, by format
        raise DataError(f"{name} is no readable image: {one_line(error)}") from error
    image.filename = name  # for messages of what reads the pixels
    return image
