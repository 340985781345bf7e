"""Files of a user's own data: their folder, names and contents, and the labels of their rows."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
from datasets import Dataset

from bench.contracts import DataError
from bench.contracts.errors import one_line
from bench.toolkit.columns import integer_labels
from bench.toolkit.files import file_hash

SHOWN = 3
"""Number of files at fault that a message names."""


@dataclass(frozen=True)
class Labelled:
    """Items with labels.

    Attributes:
        inputs: A data set of the one column ``input``.
        labels: ``[item]``, positions in ``classes``.
        classes: Class names.
        revision: Hash of file names and contents.
    """

    inputs: Dataset
    labels: np.ndarray
    classes: tuple[str, ...]
    revision: str


def own_folder(name: str, items: str, layout: str, data: Path | None) -> Path:
    """The folder of a user's own data for a task.

    Args:
        name: Name of the task.
        items: The noun for its items in messages.
        layout: The possible files, for messages.
        data: Folder of local data sets.

    Returns:
        ``DIR/NAME`` if there is such a folder, else ``DIR``.

    Raises:
        DataError: Without a folder.
    """
    if data is None:
        raise DataError(f"{name} reads your own {items}: give --data DIR or BENCH_DATA with {layout}")
    return data / name if (data / name).is_dir() else data


def refuse(paths: Sequence[Path], what: str) -> None:
    """Refuse files.

    Args:
        paths: The files at fault; nothing happens without any.
        what: What is wrong with them and how to repair it.

    Raises:
        DataError: With the number of files and the first few.
    """
    if paths:
        named = ", ".join(str(path) if is_unicode(path) else ascii(str(path))[1:-1] for path in paths[:SHOWN])
        raise DataError(f"{len(paths)} {what}: {named}{', ...' if len(paths) > SHOWN else ''}")


def class_name(text: str) -> str:
    """A name in the Unicode form that most programs write (NFC), without white space at its ends.

    Args:
        text: The name as it was read.

    Returns:
        The name of a class.
    """
    return unicodedata.normalize("NFC", text).strip()


def is_unicode(path: Path) -> bool:
    """Whether a path is valid UTF-8.

    Args:
        path: The path.

    Returns:
        Whether it is.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def named_labels(name: str, rows: Dataset) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels of rows as positions, with the names of classes.

    Args:
        name: Name of the data, for messages.
        rows: Rows with the column ``label``: names, or numbers.

    Returns:
        Positions ``[row]`` and names.

    Raises:
        DataError: For a row without a label, and for numbers that have no name.
    """
    feature = rows.features["label"]
    if isinstance(feature, datasets.Value) and feature.dtype in ("string", "large_string"):
        texts = list(rows["label"])
        missing = [row for row, text in enumerate(texts) if text is None or not text.strip()]
        if missing:
            raise DataError(f"{name} needs a label in every row, row {missing[0]} has none")
        found, positions = np.unique(np.asarray([class_name(text) for text in texts]), return_inverse=True)
        return positions.astype(np.int64), tuple(str(text) for text in found)
    labels = integer_labels(name, rows["label"])
    names = tuple(feature.names) if isinstance(feature, datasets.ClassLabel) else None
    wrong = np.flatnonzero((labels < 0) | (labels >= (np.inf if names is None else len(names))))
    if len(wrong):
        known = "of 0 or more" if names is None else f"in 0..{len(names) - 1}"
        raise DataError(
            f"{name} needs labels {known}; {len(wrong)} rows have others, the first is row {wrong[0]} with "
            f"{labels[wrong[0]]}"
        )
    if names is not None:
        return labels, names
    numbers, positions = np.unique(labels, return_inverse=True)
    return positions.astype(np.int64), tuple(map(str, numbers))


def file_content(path: Path) -> str:
    """Hash of a file's content.

    Args:
        path: The file.

    Returns:
        The hash.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        return file_hash(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {one_line(error)}; repair or remove it") from error


def visible(folder: Path) -> list[Path]:
    """The entries of a folder without hidden ones.

    Args:
        folder: The folder.

    Returns:
        Its entries by name.
    """
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
