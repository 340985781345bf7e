"""Pools of encoded images, which are decoded only when they are asked for."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
from datasets import Dataset
from PIL import Image, ImageOps

from bench.contracts.errors import DataError, one_line
from bench.contracts.task import Pool
from bench.toolkit.columns import integer_labels, require_columns


def image_pool(name: str, dataset: Dataset, image: str, label: str) -> Pool:
    """A pool of the images in a data set.

    name: of task and split, for messages. image, label: columns of ``dataset``, of PNG or JPEG bytes as
    ``datasets`` stores images, and of integers. Reading a broken image raises DataError with its row.
    """
    require_columns(name, dataset, image, label)
    return Pool(encoded_images(name, dataset, image), integer_labels(name, dataset[label]))


def encoded_images(name: str, dataset: Dataset, image: str) -> Dataset:
    """A data set of the column ``input`` alone, whose images are decoded when they are asked for.

    ``dataset`` must be whole: rows left out by ``select`` would come back.
    """
    column = dataset.cast_column(image, datasets.Image(decode=False)).data.column(image)
    # The file names in the data are of no use to a reader of an error message; the row is. Chunk by
    # chunk, the image bytes stay where they are, in memory-mapped files.
    chunks, row = [], 0
    for chunk in column.chunks:
        rows = pa.array([f"{name} row {row + offset}" for offset in range(len(chunk))], pa.string())
        chunks.append(pa.StructArray.from_arrays([chunk.field("bytes"), rows], names=["bytes", "path"]))
        row += len(chunk)
    named = pa.chunked_array(chunks, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    return Dataset(pa.table({"input": named})).with_transform(decoded)


def image_files(paths: Sequence[Path]) -> Dataset:
    """A data set of the column ``input`` alone: image files, which are read when they are asked for."""
    return Dataset.from_dict({"input": [str(path) for path in paths]}).with_transform(_read)


def decoded(batch: dict[str, list[dict[str, Any]]]) -> dict[str, list[Image.Image]]:
    """Decode the images of some rows; the ``path`` of a row holds its name for the message."""
    return {"input": [_open(io.BytesIO(row["bytes"] or b""), row["path"]) for row in batch["input"]]}


def _read(batch: dict[str, list[str]]) -> dict[str, list[Image.Image]]:
    return {"input": [_open(path, path) for path in batch["input"]]}


def _open(source: io.BytesIO | str, name: str) -> Image.Image:
    """An image, decoded and turned upright as its camera says. Raises DataError with its name."""
    try:
        with Image.open(source) as image:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
    # A broken file makes PIL's decoders raise any of these, by format.
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{name} is no readable image: {one_line(error)}") from error
    return image
