"""Index of a large store: contents of its records, and what reports compute of them, in one SQLite file beside them.

A cache and nothing else: a row counts only with the stamp of what it derives from and with its own checksum. Without
the index, or with one that is locked, damaged or foreign, everything is read and computed from the records' files.
"""

import hashlib
import os
import re
import time
import warnings
from collections.abc import Callable, Collection, Mapping
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import xxhash

from bench.contracts.errors import BenchWarning

if TYPE_CHECKING:
    import sqlite3

Table = Literal["records", "boards"]
Made = TypeVar("Made")
FILE = ".index.sqlite3"
LEAST_RECORDS = 100
"""Smallest number of records that are looked up in an index; fewer are read from their files in some 20 ms."""
_SETTLED = 2_000_000_000
"""Nanoseconds after which a change of a file has another time than the one before, also on coarse clocks."""
_WAIT = 2.0
"""Seconds to wait for another process that writes to the index."""
_TABLES: tuple[Table, ...] = ("records", "boards")
_SCHEMA = {
    name: f"CREATE TABLE {name} (name TEXT PRIMARY KEY, stamp TEXT, content BLOB, checksum BLOB)" for name in _TABLES
}
_UNAVAILABLE = {"BUSY", "LOCKED", "READONLY", "CANTOPEN", "PERM", "AUTH", "IOERR", "FULL", "NOMEM", "PROTOCOL"}
"""Names of SQLite's errors that say nothing of the file's content."""
_SOURCES = ("results", "spec", "stats", "contracts", "reports", "metrics")


def stamps(folder: Path, pattern: re.Pattern[str]) -> dict[str, str]:
    """Stamps of the files of a folder whose whole name fits a pattern, in order.

    Args:
        folder: The folder.
        pattern: The pattern.

    Returns:
        A text for each name that changes with the file; none where there is no folder.
    """
    found = {}
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if pattern.fullmatch(entry.name):
                with suppress(FileNotFoundError):
                    found[entry.name] = _stamp(entry.stat())
    return dict(sorted(found.items()))


def stamp(path: Path) -> str | None:
    """Stamp of one file.

    Args:
        path: The file.

    Returns:
        A text that changes with the file; None where there is none.
    """
    try:
        return _stamp(path.stat())
    except OSError:
        return None


def _stamp(found: os.stat_result) -> str:
    # The time of the last change of the inode cannot be set back, as that of the content can.
    return f"{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}:{found.st_ino}"


def is_settled(of_file: str) -> bool:
    """Whether a file with a stamp was changed so long ago that a further change gives another stamp.

    Args:
        of_file: The stamp.

    Returns:
        False for a file that was changed within the last two seconds.
    """
    _, *changed, _ = map(int, of_file.split(":"))
    return max(changed) < time.time_ns() - _SETTLED


@cache
def code_stamp() -> str:
    """Hash of the code that contents of an index were made by."""
    found, root = hashlib.sha256(), Path(__file__).parents[1]
    for path in sorted(path for name in _SOURCES for path in (root / name).glob("*.py")):
        found.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


class Index:
    """The index of a store.

    Attributes:
        path: Its file.
    """

    def __init__(self, root: Path) -> None:
        """Name the index of a store; nothing is opened.

        Args:
            root: Folder of the store.
        """
        self.path = root / FILE

    def find(self, table: Table, wanted: Mapping[str, str]) -> dict[str, bytes]:
        """Contents of rows.

        Args:
            table: "records" or "boards".
            wanted: Stamps by name.

        Returns:
            Contents by name, of the names whose row has the stamp; nothing where the index cannot be read.
        """

        def read(connection: "sqlite3.Connection") -> dict[str, bytes]:
            found = {}
            query = f"SELECT stamp, content, checksum FROM {table} WHERE name = ?"
            for name, given in wanted.items():
                row = connection.execute(query, (name,)).fetchone()
                if row is None or row[0] != given:
                    continue
                if row[2] != _checksum(table, name, given, row[1]):
                    raise _DamagedError
                found[name] = row[1]
            return found

        return (self._connected("ro", read) if self.path.is_file() else None) or {}

    def keep(self, table: Table, rows: Mapping[str, tuple[str, bytes]], present: Collection[str] | None = None) -> None:
        """Write rows, unless the index cannot be written.

        Args:
            table: "records" or "boards".
            rows: Stamps and contents by name; they replace earlier ones.
            present: All names that there are; rows of other names are deleted. None keeps them.
        """

        def write(connection: "sqlite3.Connection") -> None:
            if present is not None:
                known = {name for (name,) in connection.execute(f"SELECT name FROM {table}")}
                gone = [(name,) for name in known.difference(present)]
                connection.executemany(f"DELETE FROM {table} WHERE name = ?", gone)
            made = ((name, given, text, _checksum(table, name, given, text)) for name, (given, text) in rows.items())
            connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?)", made)

        self._connected("rwc", write)

    def _connected(self, mode: Literal["ro", "rwc"], work: "Callable[[sqlite3.Connection], Made]") -> Made | None:
        """Work with the index in one transaction; None where it cannot be used, as with a damaged file, which goes."""
        try:
            import sqlite3  # a Python without it reads all files
        except ImportError:
            return None
        try:
            address = f"{self.path.absolute().as_uri()}?mode={mode}"
            with closing(sqlite3.connect(address, timeout=_WAIT, isolation_level=None, uri=True)) as connection:
                connection.execute("PRAGMA synchronous = OFF")  # a cache need not survive a loss of power
                connection.execute("BEGIN" if mode == "ro" else "BEGIN IMMEDIATE")
                schema = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
                if not schema:
                    if mode == "ro":
                        return None  # another process has just begun to make it
                    for statement in _SCHEMA.values():
                        connection.execute(statement)
                elif schema != _SCHEMA:
                    raise _DamagedError
                found = work(connection)
                connection.execute("COMMIT")
                return found
        except _DamagedError:
            self._delete()
        except sqlite3.Error as error:
            # Text that is no UTF-8 is an error without a name.
            if getattr(error, "sqlite_errorname", "SQLITE_CORRUPT").split("_")[1] not in _UNAVAILABLE:
                self._delete()
        return None

    def _delete(self) -> None:
        with suppress(OSError):  # a store that cannot be written to keeps it, and is read without
            self.path.with_name(f"{FILE}-journal").unlink(missing_ok=True)
            self.path.unlink()
        _warn(self.path)


@cache
def _warn(path: Path) -> None:
    """Warn once of an index that is not used."""
    message = f"the index of records {path} was damaged or another program's; it is made anew"
    warnings.warn(message, BenchWarning, stacklevel=2)


class _DamagedError(Exception):
    """A row or table of the index is not as it was written."""


def _checksum(table: Table, name: str, given: str, content: object) -> bytes:
    """Checksum of a row; content of another type than bytes has none."""
    if not isinstance(content, bytes):
        return b""
    return xxhash.xxh3_128(f"{table}\0{name}\0{given}\0".encode() + content).digest()
