"""Rows of tables of a user's own: CSV and JSON lines, and the columns that are read of them."""

import csv
import io
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset

from bench.contracts import DataError, UsageError
from bench.contracts.errors import one_line, shown
from bench.toolkit.columns import require_columns
from bench.toolkit.files import require_regular
from bench.toolkit.json_names import unique_names
from bench.toolkit.sources import COLUMNAR, read_rows

LONGEST = 2**31 - 1
"""Characters of a field of a CSV file; Python's own limit is 131,072."""
TABLES = COLUMNAR | {".csv", ".jsonl"}
"""Suffixes of tables."""


@dataclass(frozen=True)
class TableOptions:
    """The argument of a task that reads tables, such as ``text=review+label=stars+splits=fit/judge``.

    Attributes:
        columns: Columns that the task reads, with their names in the tables.
        splits: Names of the support and of the query split, or of one that is halved; none for the usual names.
        given: All that the argument gives, by name.
    """

    columns: dict[str, str]
    splits: tuple[str, ...]
    given: Mapping[str, str]

    @classmethod
    def read(cls, task: str, argument: str, columns: Collection[str], *more: str) -> "TableOptions":
        """Read an argument.

        Args:
            task: Name of the task, for messages.
            argument: The argument.
            columns: Columns that the task reads; one that is not given has its own name.
            *more: Options that the task takes besides these and ``splits``.

        Returns:
            The options.

        Raises:
            UsageError: For anything else.
        """
        given: dict[str, str] = {}
        names = (*columns, "splits", *more)
        for part in filter(None, argument.split("+")):
            name, equals, value = part.partition("=")
            if not equals or not value or name not in names or name in given:
                known = ", ".join(f"{each}=NAME" for each in names)
                raise UsageError(f"task {task} takes {known}, each once, got {part!r}")
            given[name] = value
        splits = tuple(filter(None, given.get("splits", "").split("/")))
        return cls({name: given.get(name, name) for name in columns}, splits, given)


def table_rows(name: str, files: Sequence[Path], columns: Mapping[str, str]) -> Dataset:
    """Rows of tables of one format.

    Args:
        name: Name of the data, for messages.
        files: The tables.
        columns: Columns of the result, with their names in the tables.

    Returns:
        All rows, with these columns alone.

    Raises:
        DataError: For files of several formats, an unreadable file and a missing column.
    """
    formats = {file.suffix.lower() for file in files}
    if len(formats) > 1:
        raise DataError(f"{name} needs files of one format, got {', '.join(file.name for file in files)}")
    if formats <= COLUMNAR:
        rows = read_rows(name, files)
        require_columns(name, rows, *columns.values())
        return rows.select_columns(list(columns.values())).rename_columns({old: new for new, old in columns.items()})
    read = _csv if formats == {".csv"} else _jsonl
    return _table(name, [row for file in files for row in read(file)], columns)


def read_text(path: Path) -> str:
    """The text of a file, without a byte order mark.

    Args:
        path: The file.

    Returns:
        Its text.

    Raises:
        DataError: If it is unreadable or no UTF-8.
    """
    try:
        return require_regular(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {one_line(error)}; repair or remove it") from error


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a CSV file with a header, all values as text."""
    rows = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    earlier = csv.field_size_limit(LONGEST)
    try:
        for row in rows:
            # The rest of a text with a bare comma in it would be taken for the label.
            if None in row or None in row.values():
                raise DataError(
                    f"line {rows.line_num} of {path} needs {len(rows.fieldnames or ())} fields as its header has; "
                    "put texts with commas in double quotes"
                )
            yield row
    except csv.Error as error:
        raise DataError(f"{path} cannot be read as CSV after line {rows.line_num}: {one_line(error)}") from error
    finally:
        csv.field_size_limit(earlier)


def _jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file with one on each line."""
    # Not splitlines: JSON texts may hold other line separators as they are.
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=unique_names)
            json.dumps(row, ensure_ascii=False).encode()  # not of lone surrogates, which no text can hold
        except (ValueError, RecursionError) as error:
            reason = f"{shown(line, 60)}: {one_line(error)}"
            raise DataError(f"line {number} of {path} needs a JSON object, got {reason}") from None
        if not isinstance(row, dict):
            raise DataError(f"line {number} of {path} needs a JSON object, got {shown(line, 60)}")
        yield row


def _table(name: str, rows: Sequence[dict[str, Any]], columns: Mapping[str, str]) -> Dataset:
    """Rows as a data set.

    Returns:
        The rows, with the columns that are wanted alone.

    Raises:
        DataError: If a column is missing or its values differ in type.
    """
    needed = f"the column{'s' if len(columns) > 1 else ''} {' and '.join(map(repr, columns.values()))}"
    if not rows:
        raise DataError(f"{name} needs a row or more with {needed}, got none")
    if not {*columns.values()} <= rows[0].keys():
        raise DataError(
            f"{name} needs {needed}, got {', '.join(map(str, rows[0]))}; name them by --columns "
            f"{','.join(f'{new}=NAME' for new in columns)}"
            f"{'; a CSV file has commas between its fields' if any(';' in str(each) for each in rows[0]) else ''}"
        )
    try:
        return Dataset.from_dict({new: [row.get(old) for row in rows] for new, old in columns.items()})
    except Exception as error:  # pyarrow raises many kinds
        raise DataError(f"{name} needs values of one type in {needed}: {one_line(error)}") from error
