"""Checked columns of a data set."""

from collections.abc import Sequence

import numpy as np
from datasets import Dataset

from bench.contracts.errors import DataError


def require_columns(name: str, dataset: Dataset, *columns: str) -> None:
    """Check that a data set has some columns.

    Args:
        name: Name of the data, for messages.
        dataset: The data set.
        columns: The required columns.

    Raises:
        DataError: If one is missing; the message names those that exist.
    """
    if not set(columns) <= set(dataset.column_names):
        required = " and ".join(map(repr, columns))
        raise DataError(
            f"{name} needs the columns {required}, got {', '.join(dataset.column_names)}; rename them, or name those "
            "of your own data by --columns"
        )


def integer_labels(name: str, labels: Sequence[int]) -> np.ndarray:
    """Labels as an array.

    Args:
        name: Name of the data, for messages.
        labels: Values of a column.

    Returns:
        ``[item]`` labels as int64.

    Raises:
        DataError: If a label is not an integer.
    """
    found = np.asarray(labels)
    if found.dtype.kind not in "iu":
        raise DataError(f"{name} needs one integer label per row, got {found.dtype} values")
    return found.astype(np.int64)
