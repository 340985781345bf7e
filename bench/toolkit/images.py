"""Pools of encoded images with lazy decoding."""

import io
from collections.abc import Sequence
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


def encoded_images(name: str, dataset: Dataset, image: str) -> Dataset:
    """Images of a data set, with lazy decoding.

    Args:
        name: Name of the data, for messages.
        dataset: The rows; without an index of selected rows, which would be ignored.
        image: Column of PNG or JPEG bytes, as ``datasets`` stores images.

    Returns:
        A data set of the one column ``input``.
    """
    column = dataset.cast_column(image, datasets.Image(decode=False)).data.column(image)
    # The file names in the data are of no use to a reader of an error message; the row is. Chunk by
    # chunk, the image bytes stay where they are, in memory-mapped files.
    chunks, row = [], 0
    for chunk in column.chunks:
        rows = pa.array([f"{name} row {row + offset}" for offset in range(len(chunk))], pa.string())
        content = pc.fill_null(chunk.field("bytes"), b"")
        chunks.append(pa.StructArray.from_arrays([content, rows], names=["bytes", "path"]))
        row += len(chunk)
    return Dataset(pa.table({"input": pa.chunked_array(chunks, STORED)})).with_transform(decoded)


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
        with Image.open(source) as image:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
    # A broken file makes PIL's decoders raise any of these, by format.
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{name} is no readable image: {one_line(error)}") from error
    return image
