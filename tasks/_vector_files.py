"""Files of vectors with labels, checked: Parquet, Arrow, and NumPy's ``.npz`` and ``.npy``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from bench.contracts import DataError
from bench.contracts.errors import one_line
from bench.toolkit.files import require_regular
from bench.toolkit.sources import COLUMNAR, read_rows

FORMATS = COLUMNAR | {".npz", ".npy"}
"""Suffixes of the files."""
NAMES = {"vector": ("vector", "vectors", "embedding", "embeddings"), "label": ("label", "labels")}
"""Usual names of the columns or arrays."""


def read_vectors(name: str, files: Sequence[Path], given: Mapping[str, str]) -> Dataset:
    """Rows of files of one format.

    Args:
        name: Name of the data, for messages.
        files: The files.
        given: Names of the columns or arrays ``vector`` and ``label`` in them; by default the usual ones.

    Returns:
        The columns ``vector``, of float32 and one width, and ``label``.

    Raises:
        DataError: For an unreadable file, a missing column, unequal widths and numbers that are not finite.
    """
    if files[0].suffix.lower() in COLUMNAR:
        table = read_rows(name, files)
        column, label = (_one_of(name, "column", each, given, table.column_names) for each in ("vector", "label"))
        parts = [_matrix(name, table.data.column(column))]
        labels = table.select_columns([label])
        labels = labels if label == "label" else labels.rename_column(label, "label")
    else:
        arrays = [_arrays(file, given) for file in files]
        parts = [part for part, _ in arrays]
        labels = Dataset.from_dict({"label": np.concatenate([part for _, part in arrays]).tolist()})
    vectors = _checked(name, parts)
    if len(vectors) != len(labels):
        raise DataError(f"{name} needs a label for each vector, got {len(vectors)} vectors and {len(labels)} labels")
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    rows = Dataset(pa.table({"vector": column}))
    return rows.add_column("label", labels["label"][:], feature=labels.features["label"])


def label_file(file: Path) -> Path | None:
    """The file with the labels of a ``.npy`` file.

    Args:
        file: A file of vectors.

    Returns:
        ``NAME_labels.npy`` beside ``NAME.npy`` or ``NAME_vectors.npy``, ``labels.npy`` beside ``vectors.npy``; None for
        another format, or where there is none.
    """
    if file.suffix.lower() != ".npy":
        return None
    return next((path for name in _label_names(file) if (path := file.with_name(name)).is_file()), None)


def _label_names(file: Path) -> list[str]:
    start = file.stem.removesuffix("vectors").removesuffix("embeddings").rstrip("_")
    return [f"{start}_labels.npy".lstrip("_"), f"{file.stem}_labels.npy"]


def _checked(name: str, parts: Sequence[np.ndarray]) -> np.ndarray:
    """``[row, dim]`` of matrices of one width with finite rows that have a direction."""
    widths = sorted({part.shape[1] for part in parts})
    if len(widths) > 1:
        raise DataError(f"{name} needs vectors of one width, got {' and '.join(map(str, widths))} numbers a row")
    vectors = np.concatenate(parts)
    for what, wrong in (
        ("numbers that are not finite", ~np.isfinite(vectors).all(axis=1)),
        ("nothing but zeros, which have no direction", ~vectors.any(axis=1)),
    ):
        if wrong.any():
            raise DataError(
                f"{name} needs rows of finite numbers, {int(wrong.sum())} of {len(vectors)} have {what}, the first is "
                f"row {int(wrong.argmax())}; repair or remove them"
            )
    return vectors


def _matrix(name: str, column: pa.ChunkedArray) -> np.ndarray:
    """``[row, dim]`` in float32 of a column of lists."""
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(is_kind(column.type) for is_kind in kinds):
        raise DataError(f"{name} needs a list of numbers in each row, got {column.type}")
    if column.null_count:
        raise DataError(f"{name} needs a vector in every row, {column.null_count} of {len(column)} have none")
    widths, counts = np.unique(pc.list_value_length(column).to_numpy(), return_counts=True)
    if len(widths) > 1:
        usual = int(widths[counts.argmax()])
        others = ", ".join(str(width) for width in widths[:4] if width != usual)
        raise DataError(
            f"{name} needs vectors of one width, got {usual} numbers in most rows and {others} in "
            f"{int(counts.sum() - counts.max())}, the first is row "
            f"{int((pc.list_value_length(column).to_numpy() != usual).argmax())}; repair or remove them"
        )
    flat = pc.list_flatten(column).to_numpy()
    if not len(flat):
        raise DataError(f"{name} needs a row of numbers or more, got none")
    return _float32(name, flat).reshape(len(column), -1)


def _float32(name: str, numbers: np.ndarray) -> np.ndarray:
    if numbers.dtype.kind not in "iuf":
        raise DataError(f"{name} needs numbers, got {numbers.dtype}")
    with np.errstate(over="ignore"):  # infinite numbers are refused with their row
        return numbers.astype(np.float32)


def _arrays(file: Path, given: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Vectors ``[row, dim]`` and labels ``[row]`` of a file, or of a file and the one with its labels."""
    beside = label_file(file)
    if file.suffix.lower() == ".npz":
        with _loaded(file) as found:
            vectors, labels = (
                _read(file, found, _one_of(file.name, "array", each, given, found.files))
                for each in ("vector", "label")
            )
    elif beside is None:
        raise DataError(f"{file} needs its labels beside it, in {_label_names(file)[0]}")
    else:
        vectors, labels = _loaded(file), _loaded(beside)
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise DataError(f"{file.name} needs vectors of shape [row, number], got {list(vectors.shape)}")
    if labels.ndim != 1:
        raise DataError(f"{(beside or file).name} needs one label a row, got an array of shape {list(labels.shape)}")
    return _float32(file.name, vectors), labels


def _loaded(file: Path) -> Any:
    try:
        return np.load(require_regular(file), allow_pickle=False)
    except Exception as error:  # of a damaged file numpy and zipfile raise many kinds
        raise DataError(f"{file} cannot be read as NumPy's format: {one_line(error)}; repair or remove it") from error


def _read(file: Path, archive: Any, name: str) -> np.ndarray:
    try:
        found: np.ndarray = archive[name]
    except Exception as error:  # see _loaded
        raise DataError(f"{file} cannot be read as NumPy's format: {one_line(error)}; repair or remove it") from error
    return found


def _one_of(name: str, what: str, wanted: str, given: Mapping[str, str], known: Sequence[str]) -> str:
    usual = (given[wanted],) if wanted in given else NAMES[wanted]
    found = next((each for each in usual if each in known), None)
    if found is None:
        raise DataError(
            f"{name} needs the {what} {' or '.join(usual[:3])}, got {', '.join(known) or 'none'}; name it by --columns "
            f"{wanted}=NAME"
        )
    return found
