"""Your own texts under --data DIR, in a folder for each class or in Parquet, CSV or JSON-lines files."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import Dataset

from bench.contracts import DataError, Kind, Protocol, TaskData
from bench.contracts.errors import one_line, shown
from bench.toolkit.files import require_regular, text_hash
from bench.toolkit.json_names import unique_names
from bench.toolkit.sources import read_parquet
from tasks._folders import OwnItems, refuse
from tasks._texts import require_texts

BEFORE, AFTER = "Text: ", "\nLabel:"
"""The prompt before and after a text."""
LONGEST = 2**31 - 1
"""Characters of a field of a CSV file; Python's own limit is 131,072."""


class TextFolder(OwnItems):
    """Classification of a user's own texts: see OwnItems for the folders.

    Tables have the columns ``text`` and ``label``; those of one split are all of one format. A class's name is the
    answer after the prompt. White space around a text is removed, and a text in both pools is an error.
    """

    kind = Kind.TEXT_CLASSIFICATION
    protocol = Protocol(episodes=3, queries=50)
    name = "text_folder"
    items = "texts"
    layout = (
        "DIR/CLASS/*.txt, DIR/train/CLASS/*.txt and DIR/test/CLASS/*.txt, or DIR/train.FORMAT and DIR/test.FORMAT "
        "with the columns text and label (parquet, csv or jsonl)"
    )
    tables = frozenset({".parquet", ".csv", ".jsonl"})
    column = "text"

    def load(self, data: Path | None) -> TaskData:
        """Read the user's files.

        Args:
            data: The folder with the texts.

        Returns:
            Prompts for all texts.

        Raises:
            DataError: For files that cannot be used and for a text in both pools.
        """
        found = super().load(data)
        answers = tuple(f" {name}" for name in found.classes)
        return replace(found, classes=answers, revision=text_hash(found.revision, BEFORE, AFTER))

    def shown(self, raw: str) -> str:
        """The beginning of a text."""
        return repr(raw.removeprefix(BEFORE).removesuffix(AFTER)[:40])

    def suffixes(self) -> set[str]:
        """The suffix of plain text."""
        return {".txt"}

    def of_files(self, paths: Sequence[Path]) -> Dataset:
        """Prompts; see OwnItems.

        Args:
            paths: A file for each text.

        Returns:
            A data set of prompts.

        Raises:
            DataError: For files without a text, with their number and the first few.
        """
        texts = [_text(path) for path in paths]
        empty = [path for path, text in zip(paths, texts, strict=True) if not text.strip()]
        refuse(empty, "text files are empty; fill or remove them")
        return _prompts(texts)

    def rows(self, name: str, files: Sequence[Path]) -> Dataset:
        """Rows of tables of one format; see OwnItems.

        Args:
            name: Name of the data, for messages.
            files: The tables.

        Returns:
            All rows.

        Raises:
            DataError: For files of several formats, and for an unreadable file.
        """
        formats = {file.suffix.lower() for file in files}
        if len(formats) > 1:
            raise DataError(f"{name} needs files of one format, got {', '.join(file.name for file in files)}")
        if formats == {".parquet"}:
            return read_parquet(name, files)
        read = _csv if formats == {".csv"} else _jsonl
        return _table(name, [row for file in files for row in read(file)])

    def of_rows(self, name: str, rows: Dataset, folder: Path) -> Dataset:
        """Prompts; see OwnItems.

        Args:
            name: Name of the data, for messages.
            rows: A row for each text.
            folder: Folder of the tables.

        Returns:
            A data set of prompts.

        Raises:
            DataError: For a row without a text.
        """
        return _prompts(require_texts(name, list(rows[self.column])))


def _prompts(texts: Sequence[str]) -> Dataset:
    return Dataset.from_dict({"input": [f"{BEFORE}{text.strip()}{AFTER}" for text in texts]})


def _text(path: Path) -> str:
    try:
        return require_regular(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {one_line(error)}; repair or remove it") from error


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a CSV file with a header, all values as text."""
    rows = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
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
    for number, line in enumerate(_text(path).split("\n"), start=1):
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


def _table(name: str, rows: Sequence[dict[str, Any]]) -> Dataset:
    """Texts and labels as a data set.

    Returns:
        The rows.

    Raises:
        DataError: If a column is missing or its values differ in type.
    """
    if not rows:
        raise DataError(f"{name} needs a row or more with the columns 'text' and 'label', got none")
    if not {"text", "label"} <= rows[0].keys():
        raise DataError(f"{name} needs the columns 'text' and 'label', got {', '.join(map(str, rows[0]))}")
    try:
        return Dataset.from_dict({column: [row.get(column) for row in rows] for column in ("text", "label")})
    except Exception as error:  # pyarrow raises many kinds
        raise DataError(f"{name} needs texts, and labels of one type: {one_line(error)}") from error


PLUGIN = TextFolder
