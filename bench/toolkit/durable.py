"""Durable writing: under its own name a file or folder is complete and on the disk, whenever the program or power ends.

Content is written under a temporary name, flushed to the disk and renamed; then the folder is flushed, without which a
power loss undoes the renaming. The writer holds a lock on its temporary file or folder. A temporary file without a lock
is one that a killed writer left, and is removed
before the next process writes to its folder.
"""

import errno
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # a system without locks on descriptors, where leftovers stay
    fcntl = None  # type: ignore[assignment]

TEMPORARY = re.compile(r"\.bench-[0-9a-f]{32}\.tmp")
"""Names of temporary files and folders."""
EARLIER = re.compile(r"\.[0-9a-f]{16,24}(-[0-9a-f]{16})?-[0-9a-f]{32}\.tmp")
"""Names of temporary files of earlier versions, whose writers held no lock."""
ROOM = 2**15
"""Bytes that must fit into a folder that runs write to: those of a record with its predictions."""
ABANDONED = 86400.0
"""Seconds after its last change from which an unlocked file of an earlier version counts as left by a killed writer."""
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
    temporary, lock = _locked(target.parent, _new_file)
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
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Write a folder of files completely or not at all, and durably; an earlier folder of the name is replaced.

    Args:
        folder: The folder, in an existing folder.

    Yields:
        An empty folder beside it to write to, renamed to ``folder`` on success and deleted after an error.

    Raises:
        OSError: If a file cannot be written.
    """
    temporary, lock = _locked(folder.parent, _new_folder)
    try:
        yield temporary
        for path in sorted(temporary.rglob("*"), reverse=True):
            (sync_folder if path.is_dir() else sync)(path)
        sync_folder(temporary)
        if folder.is_dir():
            earlier, earlier_lock = _locked(folder.parent, _new_folder)
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
    temporary, lock = _locked(folder, _new_file)
    try:
        temporary.write_bytes(bytes(size))
        os.fsync(lock)
    finally:
        with suppress(OSError):
            temporary.unlink()
        os.close(lock)


def leftovers(folder: Path, earlier: re.Pattern[str] = EARLIER, *, remove: bool = False) -> list[Path]:
    """What killed writers left in a folder; files of living writers and of users are not listed.

    Args:
        folder: The folder.
        earlier: Names of temporary files of earlier versions.
        remove: Whether to delete them, where that is possible.

    Returns:
        Temporary files and folders whose writer is gone; none where there is no folder.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return []
    return [Path(entry.path) for entry in entries if _is_left(entry, earlier, remove)]


def _locked(folder: Path, make: Callable[[Path], int]) -> tuple[Path, int]:
    """A new temporary file or folder, and the descriptor that holds its lock."""
    _clean_once(folder.resolve())
    while True:
        path = folder / f".bench-{uuid.uuid4().hex}.tmp"
        descriptor = make(path)
        try:
            _lock(descriptor)
            os.stat(path)  # noqa: PTH116 Path.exists would hide other errors
        except FileNotFoundError:  # removed as a leftover between its making and its lock
            os.close(descriptor)
        except BaseException:
            os.close(descriptor)
            _remove(path)
            raise
        else:
            return path, descriptor


@cache
def _clean_once(folder: Path) -> None:
    """Remove what killed writers left in a folder, before this process first writes there."""
    leftovers(folder, remove=True)


def _new_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)


def _new_folder(path: Path) -> int:
    path.mkdir()
    return os.open(path, os.O_RDONLY)


def _lock(descriptor: int, wait: bool = True) -> bool:
    """Lock a file; False where another process holds it, or where files cannot be locked."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _is_left(entry: os.DirEntry[str], earlier: re.Pattern[str], remove: bool) -> bool:
    """Whether a file or folder is a temporary one whose writer is gone; it is deleted while its lock is held."""
    path = Path(entry.path)
    try:
        if TEMPORARY.fullmatch(entry.name):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                left = _lock(descriptor, wait=False)
                if left and remove:
                    _remove(path)
            finally:
                os.close(descriptor)
            return left
        age = time.time() - entry.stat(follow_symlinks=False).st_mtime
        left = earlier.fullmatch(entry.name) is not None and age > ABANDONED
        if left and remove:
            _remove(path)
    except OSError:  # another process has removed it
        return False
    return left


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
