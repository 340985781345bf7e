"""Journal of a study: a file with one line for each of Optuna's operations, checked, durable and shared by processes.

Each line ends with a checksum of all operations up to its own, so that a changed, lost or doubled line is noticed.
Optuna reads such a file too, and files that Optuna wrote without checksums are read here.
"""

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from optuna.storages.journal import BaseJournalBackend

from bench.contracts import StoreError
from bench.toolkit.durable import make_folder, write_atomic
from sweeps.journal_lines import (
    BEGINNING,
    DamagedLineError,
    Position,
    damaged,
    is_operation,
    is_whole,
    line_of,
    read_line,
    second_operation,
)

LOCK_NOTICE, LOCK_LIMIT = 5.0, 60.0
"""Seconds of waiting for the lock, which a writer holds for milliseconds, before a message and before an error."""
Notify = Callable[[str], None]


def to_standard_error(message: str) -> None:
    """Print a message about a study.

    Args:
        message: One line.
    """
    print(f"bench: {message}", file=sys.stderr)


class Journal(BaseJournalBackend):
    """Backend of Optuna's JournalStorage.

    The lock is the kernel's, which ends with its process: a killed writer delays nobody. What a writer left unfinished
    is dropped by the next one.
    """

    def __init__(self, path: Path, notify: Notify = to_standard_error) -> None:
        """Open a journal, and repair what an interrupted write left at its end.

        Args:
            path: The file; its folder is created.
            notify: Receiver of a line about a repair or a wait.

        Raises:
            StoreError: If the file is damaged otherwise, cannot be written, or is locked for a minute.
        """
        self.path, self.notify = path, notify
        self._read = self._end = Position()
        with _one_line(path):
            make_folder(path.parent)
            with self.locked():
                if path.exists() and path.stat().st_size == 0:
                    # No journal is empty: it is made with its first operation.
                    notify(f"{path} is empty, and its study begins anew")
                self._advance(opening=True)
                if path.exists() and self._end.number < (written := self._note().written):
                    notify(f"{path} has {self._end.number} operations of the {written} that were written to it")
                    self._write_note()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Operations from a number on.

        Args:
            log_number_from: The number.

        Yields:
            One operation after another. One that is being written is left out.

        Raises:
            StoreError: If a line is damaged.
        """
        start = self._read if self._read.number == log_number_from else Position()
        with _one_line(self.path):
            for operation, behind in self._scan(start):
                self._read = behind
                if behind.number > log_number_from:
                    yield operation

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write operations, durably; none of them if not all can be written.

        Args:
            logs: The operations.

        Raises:
            StoreError: If they cannot be written.
        """
        with _one_line(self.path), self.locked():
            self._advance()
            checksum, content = self._end.checksum, b""
            for log in logs:
                line, checksum = line_of(log, checksum)
                content += line
            if self.path.exists():
                self._append(content)
            else:
                write_atomic(self.path, content)
            self._end = Position(self._end.number + len(logs), self._end.offset + len(content), checksum, True)
            self._write_note()

    def _append(self, content: bytes) -> None:
        """Write behind the last operation; what was written is cut off again if not all can be."""
        with self.path.open("r+b", buffering=0) as file:
            file.seek(self._end.offset)
            try:
                written = 0
                while written < len(content):
                    written += file.write(content[written:]) or 0
                os.fsync(file.fileno())
            except BaseException:
                with suppress(OSError):  # the next writer does it otherwise
                    file.truncate(self._end.offset)
                raise

    def _scan(self, position: Position) -> Iterator[tuple[dict[str, Any], Position]]:
        """Operations from a position on, each with the position behind it; an unfinished last line is left out."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(position.offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                operation, position = read_line(line, position, self.path)
                yield operation, position

    def _advance(self, opening: bool = False) -> None:
        """Move to the end of the last whole operation, and cut off what is behind it; the lock is held.

        An unfinished write leaves a part of one operation, or what the file system put in its place. Behind a damaged
        line that operations follow, nothing can be trusted, and nothing is changed.
        """
        try:
            for _, position in self._scan(self._end):
                self._end = position
        except DamagedLineError:
            if not opening:
                raise
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._end.offset)
                rest = file.read()
            if rest:
                self._repair(rest)

    def _repair(self, rest: bytes) -> None:
        """Drop what is no whole operation at the end, and keep a copy of the file as it was."""
        line, _, behind = rest.partition(b"\n")
        content = self.path.read_bytes()[: self._end.offset]
        if is_whole(line, self._end, self.path):
            content += line + b"\n"
            dropped = "nothing, as its last line lacked its end alone"
        elif (start := second_operation(line, self._end)) is not None:
            # Optuna's own backend writes its next operation behind an unfinished one, into the same line.
            content += rest[start:]
            dropped = f"an unfinished operation of {start} bytes"
        elif any(is_operation(later) for later in behind.splitlines()):
            raise damaged(self.path, self._end)
        elif self._end.number == 0 and not rest.startswith(BEGINNING) and rest.strip(b"\0"):
            raise StoreError(f"{self.path} is no journal of a study; name another file by --storage")
        else:
            dropped = f"an unfinished operation of {len(rest)} bytes at its end"
        copy = self._free_name()
        write_atomic(copy, self.path.read_bytes())
        write_atomic(self.path, content)
        self.notify(f"{self.path} was left unfinished; dropped: {dropped}; a copy is kept as {copy.name}")
        self._advance(opening=True)

    def _free_name(self) -> Path:
        number = 1
        while (path := self.path.with_name(f"{self.path.name}.damaged-{number}")).exists():
            number += 1
        return path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Context in which no other process writes.

        Raises:
            StoreError: If another process holds the lock for a minute.
        """
        lock, began, noticed = FileLock(self._lock_path), time.monotonic(), False
        while True:
            try:
                lock.acquire(timeout=LOCK_LIMIT if noticed else LOCK_NOTICE)
                break
            except Timeout:
                owner = self._note().owner
                if noticed:
                    raise StoreError(
                        f"{self.path} has been locked by {owner} for {time.monotonic() - began:.0f} s; continue or end "
                        "that process, then repeat the command"
                    ) from None
                self.notify(f"waiting for {owner}, which writes to {self.path}")
                noticed = True
        try:
            self._write_note(self._note().written)
            yield
        finally:
            lock.release()

    @property
    def _lock_path(self) -> Path:
        return self.path.with_name(f".{self.path.name}.lock")

    def _note(self) -> "Note":
        """What the last writer noted in the lock file."""
        with suppress(OSError, ValueError):
            owner, _, written = self._lock_path.read_text(encoding="utf-8").partition("\n")
            return Note(owner or Note.owner, int(written or 0))
        return Note()

    def _write_note(self, written: int | None = None) -> None:
        """Note this process and a number of written operations, by default all up to the end; for messages alone."""
        number = self._end.number if written is None else written
        with suppress(OSError):
            text = f"process {os.getpid()} on {socket.gethostname()}\n{number}\n"
            self._lock_path.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Note:
    """A note in the file of the lock.

    Attributes:
        owner: The process that held it last.
        written: Number of operations that were written by then: a file that lost some after a whole line has fewer.
    """

    owner: str = "another process"
    written: int = 0


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Context in which errors of the file system are errors of the storage."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"storage {path} cannot be used: {error.strerror or error}; free space or name another by --storage; ended "
            "trials are kept"
        ) from error
