"""Checked columns of a data set."""

from collections.abc import Sequence

import numpy as np
from datasets import Dataset

from bench.contracts.errors import DataError


def require_columns(name: str, dataset: Dataset, *columns: str) -> None:
    """Raise DataError, naming what there is, if a column is missing."""
    if not set(columns) <= set(dataset.column_names):
        wanted = " and ".join(map(repr, columns))
        raise DataError(f"{name} needs the columns {wanted}, got {', '.join(dataset.column_names)}")


def integer_labels(name: str, labels: Sequence[int]) -> np.ndarray:
    """``[item]`` labels as int64. Raises DataError if there is one that is not an integer."""
    found = np.asarray(labels)
    if found.dtype.kind not in "iu":
        raise DataError(f"{name} needs one integer label per row, got {found.dtype} values")
    return found.astype(np.int64)
