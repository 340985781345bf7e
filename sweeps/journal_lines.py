"""Lines of a journal: an operation of Optuna's, with a checksum of all operations up to it."""

import json
import re
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from bench.contracts import StoreError

SUM = re.compile(rb',"sum":"([0-9a-f]{8})"\}$')
BEGINNING = b'{"op_code"'
"""First characters of every operation."""


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


def line_of(operation: dict[str, Any], checksum: int) -> tuple[bytes, int]:
    """The line of an operation.

    Args:
        operation: The operation.
        checksum: CRC-32 of all operations before it.

    Returns:
        The line with its end, and the CRC-32 with this operation.
    """
    body = json.dumps(operation, separators=(",", ":")).encode()
    checksum = zlib.crc32(body, checksum)
    return body[:-1] + f',"sum":"{checksum:08x}"}}\n'.encode(), checksum


def read_line(line: bytes, position: Position, path: Path) -> tuple[dict[str, Any], Position]:
    """The operation of a line.

    Args:
        line: The line with its end.
        position: Place before it.
        path: The journal, for messages.

    Returns:
        The operation, and the place behind it.

    Raises:
        DamagedLineError: If it is not what was written there.
    """
    body, summed = checked(line[:-1], position, path)
    checksum = zlib.crc32(body, position.checksum)
    return json.loads(body), Position(position.number + 1, position.offset + len(line), checksum, summed)


def checked(line: bytes, position: Position, path: Path) -> tuple[bytes, bool]:
    """The operation of a line, without its checksum.

    Args:
        line: The line without its end.
        position: Place before it.
        path: The journal.

    Returns:
        The operation, and whether the line has a checksum.

    Raises:
        DamagedLineError: If it is not what was written there.
    """
    found = SUM.search(line)
    body = line[: found.start()] + b"}" if found else line
    right = is_operation(body) and (
        zlib.crc32(body, position.checksum) == int(found[1], 16) if found else not position.summed
    )
    if not right:
        raise damaged(path, position)
    return body, found is not None


def damaged(path: Path, position: Position) -> DamagedLineError:
    """The error for a damaged line.

    Args:
        path: The journal.
        position: Place before the line.

    Returns:
        The error to raise.
    """
    return DamagedLineError(
        f"{path} is damaged in line {position.number + 1}, and not by an interrupted write; restore it from a copy, "
        "or move it away to begin its studies anew"
    )


def is_whole(line: bytes, position: Position, path: Path) -> bool:
    """Whether a line is the operation that was written.

    Args:
        line: The line without its end.
        position: Place before it.
        path: The journal.

    Returns:
        True if it is an operation with the right checksum.
    """
    try:
        checked(line, position, path)
    except DamagedLineError:
        return False
    return True


def is_operation(line: bytes) -> bool:
    """Whether a line is an operation of Optuna's.

    Args:
        line: The line without its end.

    Returns:
        True if it is one, whatever it says.
    """
    if not line.startswith(BEGINNING):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def second_operation(line: bytes, position: Position) -> int | None:
    """Start of a whole operation behind an unfinished one, in journals without checksums.

    Args:
        line: The line without its end.
        position: Place before it.

    Returns:
        Number of bytes before it; None where there is none.
    """
    start = line.rfind(BEGINNING)
    return start if start > 0 and not position.summed and is_operation(line[start:]) else None
