"""Journal of a study: a file with one line for each of Optuna's operations, checked, durable and shared by processes.

Each line ends with a checksum of all operations up to its own, so that a changed, lost or doubled line is noticed.
Optuna reads such a file too, and files that Optuna wrote without checksums are read here.
"""

import json
import os
import re
import socket
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout
from optuna.storages.journal import BaseJournalBackend

from bench.contracts import StoreError
from bench.toolkit.durable import make_folder, write_atomic

SUM = re.compile(rb',"sum":"([0-9a-f]{8})"\}$')
BEGINNING = b'{"op_code"'
"""First characters of every operation."""
LOCK_NOTICE, LOCK_LIMIT = 5.0, 60.0
"""Seconds of waiting for the lock, which a writer holds for milliseconds, before a message and before an error."""
Notify = Callable[[str], None]


def to_standard_error(message: str) -> None:
    """Print a message about a study.

    Args:
        message: One line.
    """
    print(f"bench: {message}", file=sys.stderr)


class Position(NamedTuple):
    """Place between two operations of a journal.

    Attributes:
        number: Number of operations before it.
        offset: Number of bytes before it.
        checksum: CRC-32 of all operations before it.
        summed: Whether operations before it have checksums.
    """

    number: int = 0
    offset: int = 0
    checksum: int = 0
    summed: bool = False


class DamagedLineError(StoreError):
    """A line of a journal that is not a whole operation, or not the one that was written."""


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
                body = json.dumps(log, separators=(",", ":")).encode()
                checksum = zlib.crc32(body, checksum)
                content += body[:-1] + f',"sum":"{checksum:08x}"}}\n'.encode()
            if self.path.exists():
                self._append(content)
            else:
                write_atomic(self.path, content)
            self._end = Position(self._end.number + len(logs), self._end.offset + len(content), checksum, True)

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
                body, checksum = _checked(line[:-1], position, self.path)
                position = Position(
                    position.number + 1, position.offset + len(line), zlib.crc32(body, position.checksum), checksum
                )
                yield json.loads(body), position

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
        if _is_whole(line, self._end, self.path):
            content += line + b"\n"
            dropped = "nothing, as its last line lacked its end alone"
        elif (start := _second_operation(line, self._end)) is not None:
            # Optuna's own backend writes its next operation behind an unfinished one, into the same line.
            content += rest[start:]
            dropped = f"an unfinished operation of {start} bytes"
        elif any(_is_operation(later) for later in behind.splitlines()):
            raise _damaged(self.path, self._end)
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
        path = self.path.with_name(f".{self.path.name}.lock")
        lock, began, noticed = FileLock(path), time.monotonic(), False
        while True:
            try:
                lock.acquire(timeout=LOCK_LIMIT if noticed else LOCK_NOTICE)
                break
            except Timeout:
                owner = _owner(path)
                if noticed:
                    raise StoreError(
                        f"{self.path} has been locked by {owner} for {time.monotonic() - began:.0f} s; continue or end "
                        "that process, then repeat the command"
                    ) from None
                self.notify(f"waiting for {owner}, which writes to {self.path}")
                noticed = True
        try:
            with suppress(OSError):  # for messages alone
                path.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
            yield
        finally:
            lock.release()


def _owner(path: Path) -> str:
    """The process that a lock file names."""
    try:
        return path.read_text(encoding="utf-8") or "another process"
    except (OSError, ValueError):
        return "another process"


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


def _checked(line: bytes, position: Position, path: Path) -> tuple[bytes, bool]:
    """The operation of a line, without its checksum.

    Returns:
        The operation, and whether the line has a checksum.

    Raises:
        DamagedLineError: If it is not what was written there.
    """
    found = SUM.search(line)
    body = line[: found.start()] + b"}" if found else line
    right = _is_operation(body) and (
        zlib.crc32(body, position.checksum) == int(found[1], 16) if found else not position.summed
    )
    if not right:
        raise _damaged(path, position)
    return body, found is not None


def _damaged(path: Path, position: Position) -> DamagedLineError:
    return DamagedLineError(
        f"{path} is damaged in line {position.number + 1}, and not by an interrupted write; restore it from a copy, "
        "or move it away to begin its studies anew"
    )


def _is_whole(line: bytes, position: Position, path: Path) -> bool:
    try:
        _checked(line, position, path)
    except DamagedLineError:
        return False
    return True


def _is_operation(line: bytes) -> bool:
    """Whether a line is an operation of Optuna's."""
    if not line.startswith(BEGINNING):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _second_operation(line: bytes, position: Position) -> int | None:
    """Start of a whole operation behind an unfinished one, in journals without checksums; None where there is none."""
    start = line.rfind(BEGINNING)
    return start if start > 0 and not position.summed and _is_operation(line[start:]) else None
