"""Durable writing: under its own name a file or folder is complete and on the disk, whenever the program or power ends.

Content is written under a temporary name, flushed to the disk and renamed; then the folder is flushed, without which a
power loss undoes the renaming. What a killed writer leaves is removed before the next process writes to its folder (see
``bench.toolkit.temporary``).
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.contracts.errors import StoreError
from bench.toolkit.temporary import temporary_file, temporary_folder

ROOM = 2**15
"""Bytes that must fit into a folder that runs write to: those of a record with its predictions."""
_NO_FOLDER_FLUSH = {errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EACCES}
"""Errors of systems that cannot flush a folder, or not one that may be written and not read."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Write a file completely or not at all, and durably.

    A link is followed, and what is no regular file, such as ``/dev/stdout``, is written to directly.

    Args:
        path: The file, in an existing folder.

    Yields:
        A path in the same folder to write to. On success it is renamed to ``path`` after its content is on the disk;
        after an error it is deleted, and an earlier file stays.

    Raises:
        OSError: If the file cannot be written.
    """
    target = path.resolve() if path.is_symlink() else path
    if target.exists() and not target.is_file():
        yield target
        return
    temporary, lock = temporary_file(target.parent)
    try:
        yield temporary
        sync(temporary)
        temporary.replace(target)
        sync_folder(target.parent)
    finally:
        with suppress(OSError):  # the disk may have become read-only
            temporary.unlink(missing_ok=True)
        os.close(lock)


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file completely or not at all, and durably.

    Args:
        path: The file, in an existing folder.
        content: Bytes, or text that is written as UTF-8.

    Raises:
        OSError: If the file cannot be written; an earlier file stays.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def writing(what: object, remedy: str = "") -> Iterator[None]:
    """Context in which an error of the system says what cannot be written.

    Args:
        what: The file, with its option where it has one.
        remedy: What the user can do; empty where the reason says it.

    Raises:
        StoreError: For an error of the system, in one line.
    """
    try:
        yield
    except OSError as error:
        reason = "; ".join(filter(None, (str(error.strerror or error), remedy)))
        raise StoreError(f"{what} cannot be written: {reason}") from error


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Write a folder of files completely or not at all, and durably; an earlier folder of the name is replaced.

    Args:
        folder: The folder, in an existing folder.

    Yields:
        An empty folder beside it to write to, renamed to ``folder`` on success and deleted after an error.

    Raises:
        OSError: If a file cannot be written.
    """
    temporary, lock = temporary_folder(folder.parent)
    try:
        yield temporary
        for path in sorted(temporary.rglob("*"), reverse=True):
            (sync_folder if path.is_dir() else sync)(path)
        sync_folder(temporary)
        if folder.is_dir():
            earlier, earlier_lock = temporary_folder(folder.parent)
            try:
                folder.replace(earlier)  # an empty folder may be replaced
                temporary.replace(folder)
            finally:
                shutil.rmtree(earlier, ignore_errors=True)
                os.close(earlier_lock)
        else:
            temporary.replace(folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(lock)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, durably.

    Args:
        folder: The folder; it may exist.

    Raises:
        OSError: If it cannot be made.
    """
    new = []
    for each in (folder, *folder.parents):
        if each.exists():
            break
        new.append(each)
    folder.mkdir(parents=True, exist_ok=True)
    for each in reversed(new):
        sync_folder(each.parent)


def sync(path: Path) -> None:
    """Flush the content of a file to the disk.

    Args:
        path: The file.

    Raises:
        OSError: If the disk refuses it, for example because it is full.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, where the system can.

    Args:
        folder: The folder.

    Raises:
        OSError: If the disk refuses it.
    """
    try:
        sync(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_FLUSH:
            raise


def require_room(folder: Path, size: int) -> None:
    """Require that some bytes fit into a folder. An empty file fits a full disk, which is why they are written.

    Args:
        folder: The folder.
        size: Number of bytes.

    Raises:
        OSError: If they do not fit, or the folder cannot be written to.
    """
    temporary, lock = temporary_file(folder)
    try:
        temporary.write_bytes(bytes(size))
        os.fsync(lock)
    finally:
        with suppress(OSError):
            temporary.unlink()
        os.close(lock)
