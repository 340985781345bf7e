"""A user's own images, by class: folders of files, or Parquet."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
from datasets import Dataset
from PIL import Image

from bench.contracts import DataError
from bench.contracts.images import encoded_images, image_files, integer_labels, require_columns
from bench.contracts.loading import file_hash, one_line, read_parquet, text_hash

SHOWN = 3
"""How many of the files at fault a message names."""


@dataclass(frozen=True)
class Labelled:
    """Images with labels.

    inputs: of the one column ``input``. labels: ``[item]``, positions in ``classes``. revision: a hash of
    file names and contents.
    """

    inputs: Dataset
    labels: np.ndarray
    classes: tuple[str, ...]
    revision: str


def from_folder(folder: Path) -> Labelled:
    """The images of a folder of class folders; underscores in a folder's name are read as spaces.

    Hidden files are passed over. Raises DataError, with the number and the first few, for whatever else is
    not an image by its name, and for a class without images.
    """
    entries = _visible(folder)
    images = _image_suffixes()
    stray = [entry for entry in entries if entry.is_file() and entry.suffix.lower() in images]
    _refuse(stray, f"images in {folder} are in no class folder; move them into one")
    classes = [entry for entry in entries if entry.is_dir()]
    files = {entry: _visible(entry) for entry in classes}
    other = [file for row in files.values() for file in row if file.is_dir() or file.suffix.lower() not in images]
    _refuse(other, "entries of class folders are no images by their names; remove them")
    _refuse([entry for entry, row in files.items() if not row], "class folders are empty; add images or remove them")
    paths = [file for row in files.values() for file in row]
    return Labelled(
        image_files(paths),
        np.repeat(np.arange(len(classes)), [len(row) for row in files.values()]),
        tuple(entry.name.replace("_", " ") for entry in classes),
        text_hash(*(part for path in paths for part in (str(path.relative_to(folder)), _content(path)))),
    )


def from_parquet(name: str, files: Sequence[Path]) -> Labelled:
    """The rows of Parquet files: ``image`` as ``datasets`` stores images, ``label`` as names or as 0, 1, 2 ...

    name: for messages. Raises DataError if there are other columns, or labels without a name or out of range.
    """
    rows = read_parquet(name, files)
    require_columns(name, rows, "image", "label")
    labels, classes = _named(name, rows)
    return Labelled(encoded_images(name, rows, "image"), labels, classes, text_hash(*map(file_hash, files)))


def _named(name: str, rows: Dataset) -> tuple[np.ndarray, tuple[str, ...]]:
    feature = rows.features["label"]
    if isinstance(feature, datasets.Value) and feature.dtype in ("string", "large_string"):
        texts = rows["label"]
        if None in texts:
            raise DataError(f"{name} needs a label in every row, row {list(texts).index(None)} has none")
        found, positions = np.unique(np.asarray(texts), return_inverse=True)
        return positions.astype(np.int64), tuple(str(text) for text in found)
    labels = integer_labels(name, rows["label"])
    if isinstance(feature, datasets.ClassLabel):
        names = tuple(feature.names)
    else:
        names = tuple(str(number) for number in range(len(np.unique(labels))))
    wrong = np.flatnonzero((labels < 0) | (labels >= len(names)))
    if len(wrong):
        raise DataError(
            f"{name} needs labels in 0..{len(names) - 1}, without gaps; {len(wrong)} rows have others, "
            f"the first is row {wrong[0]} with {labels[wrong[0]]}"
        )
    return labels, names


def _content(path: Path) -> str:
    try:
        return file_hash(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {one_line(error)}; mend or remove it") from error


def _visible(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _image_suffixes() -> set[str]:
    Image.init()
    return {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}


def _refuse(paths: Sequence[Path], what: str) -> None:
    if paths:
        named = ", ".join(str(path) for path in paths[:SHOWN])
        raise DataError(f"{len(paths)} {what}: {named}{', ...' if len(paths) > SHOWN else ''}")
