"""Your own documents under --data DIR, as text files or in a table: perplexity on those that are held out."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from datasets import Dataset

from bench.contracts import DataError, Kind, Pool, Protocol, Task, TaskData
from bench.toolkit.files import text_hash
from bench.toolkit.splits import stratified_halves
from tasks._copies import normal_text
from tasks._own_files import own_folder, visible
from tasks._splits import split_of, tables_by_split, tables_in
from tasks._tables import TABLES, TableOptions, read_text, table_rows
from tasks._texts import require_texts

SPLIT_SEED = 0
SUFFIXES = (".txt", ".md")
SHOWN = 5
"""Number of documents that a line names."""


class TextFile(Task):
    """Perplexity per token of a user's own text, split by document; an item is a document.

    A document is a file (``.txt``, ``.md``) in the folder or in folders of it, or a row of a table. Where there are
    ``train`` and ``test`` (folders, tables or files of these names), these are support and query; else half of the
    documents are held out for queries, and of a single document its second half, from the paragraph nearest to its
    middle. A document that is there twice counts once.

    Attributes:
        options: The column ``text`` with its name in the user's tables, and the splits.
    """

    kind = Kind.LANGUAGE_MODELLING
    protocol = Protocol(episodes=1, queries=20)
    size = "as many documents as your files have: --count --data DIR reads and counts them"
    citation = "the user's own data, under its own licence"
    layout = (
        "DIR/*.txt, DIR/train/*.txt and DIR/test/*.txt, or DIR/train.FORMAT and DIR/test.FORMAT with the column text "
        "(parquet, arrow, csv or jsonl)"
    )

    def __init__(self, columns: str = "") -> None:
        """Name the column of tables, and the splits.

        Args:
            columns: ``text=NAME+splits=NAME/NAME``, as ``--columns text=NAME`` and ``--splits NAME,NAME`` write it.

        Raises:
            UsageError: For anything else.
        """
        self.options = TableOptions.read("text_file", columns, ("text",))

    def load(self, data: Path | None) -> TaskData:
        """Read the user's documents.

        Args:
            data: The folder with the documents.

        Returns:
            Both pools.

        Raises:
            DataError: For a layout or a file that cannot be used.
        """
        root = own_folder("text_file", "documents", self.layout, data)
        found = self._documents(root)
        revision = text_hash(*(part for split in sorted(found) for part in (split, *found[split].values())))
        if "train" not in found:
            support, query, note = _halves(found["all"], root)
            return TaskData(support, query, ("text",), text_hash(revision, str(SPLIT_SEED)), (note,))
        own, other = found["train"], found["test"]
        if shared := {normal_text(text) for text in own.values()} & {normal_text(text) for text in other.values()}:
            named = [name for name, text in other.items() if normal_text(text) in shared]
            raise DataError(
                f"text_file needs each document in support or in query, not in both; {len(named)} are in both: "
                f"{_some(named)}; remove the copies"
            )
        return TaskData(Pool.of_texts(list(own.values())), Pool.of_texts(list(other.values())), ("text",), revision)

    def _documents(self, root: Path) -> dict[str, dict[str, str]]:
        """Documents by their names, under ``train`` and ``test`` or under ``all``."""
        entries = visible(root)
        tables = tables_in(root, TABLES, self.options.splits)
        texts = [entry for entry in entries if entry.is_file() and entry.suffix.lower() in SUFFIXES]
        nested = [entry for entry in entries if entry.is_dir() and _texts_in(entry)]
        paths = tables or nested or texts
        if not paths:
            raise DataError(f"text_file found no documents in {root}; it needs {self.layout}")
        if mixed := [kind[0] for kind in (tables, nested, texts) if kind and kind is not paths]:
            raise DataError(
                f"text_file needs tables, folders or text files in {root}, got {paths[0].name} beside {mixed[0].name}; "
                "remove or move one kind"
            )
        # A folder has the name of its split, as a file has without its suffix.
        named = tables or self.options.splits or any(split_of(each.stem) for each in paths)
        splits = tables_by_split("text_file", root, paths, self.options.splits) if named else {"all": paths}
        read = self._of_tables if tables else _of_files
        return {
            split: read(root, [file for path in found for file in (_texts_in(path) if path.is_dir() else [path])])
            for split, found in splits.items()
        }

    def _of_tables(self, root: Path, files: Sequence[Path]) -> dict[str, str]:
        rows: Dataset = table_rows("text_file", files, self.options.columns)
        texts = require_texts("text_file", list(rows["text"]))
        return {f"row {number}": text for number, text in enumerate(texts)}


def _texts_in(folder: Path) -> list[Path]:
    return [file for file in visible(folder) if file.is_file() and file.suffix.lower() in SUFFIXES]


def _of_files(root: Path, files: Sequence[Path]) -> dict[str, str]:
    found = {file.relative_to(root).as_posix(): read_text(file) for file in files}
    if empty := [name for name, text in found.items() if not text.strip()]:
        raise DataError(f"{len(empty)} documents are empty: {_some(empty)}; fill or remove them")
    return found


def _halves(documents: dict[str, str], root: Path) -> tuple[Pool, Pool, str]:
    """Both halves, and the line that names the held-out part."""
    distinct: dict[str, str] = {}
    for name, text in documents.items():
        distinct.setdefault(normal_text(text), name)
    names = list(distinct.values())
    if len(names) == 1:
        first, second = _cut(names[0], documents[names[0]])
        note = f"the second half of {names[0]} in {root} ({len(second)} characters) is held out for queries"
        return Pool.of_texts([first]), Pool.of_texts([second]), f"{note}; train and test name splits"
    halves = stratified_halves(np.zeros(len(names), dtype=np.int64), SPLIT_SEED)
    support, query = ([names[position] for position in half] for half in halves)
    note = f"{len(query)} of {len(names)} documents in {root} are held out for queries: {_some(query)}"
    if copies := len(documents) - len(names):
        note += f"; {copies} are copies and are not used"
    pools = [Pool.of_texts([documents[name] for name in half]) for half in (support, query)]
    return pools[0], pools[1], f"{note}; train and test name splits"


def _cut(name: str, text: str) -> tuple[str, str]:
    """The halves of a document, cut at a blank line, else at the end of a line."""
    for border in ("\n\n", "\n"):
        places = [found.start() for found in re.finditer(border, text)]
        inner = [at for at in places if text[:at].strip() and text[at:].strip()]
        if inner:
            at = min(inner, key=lambda place: abs(place - len(text) // 2))
            return text[:at], text[at:].lstrip("\n")
    raise DataError(f"text_file needs two documents, or one of several lines, got {name} of one line")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


PLUGIN = TextFile
