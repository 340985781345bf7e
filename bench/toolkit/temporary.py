"""Temporary files of durable writing: their writer holds a lock on them, so that those of killed writers are known.

The system frees the lock of a process that ends, however it ends. Process ids would not do: they are used again, differ
between containers and say nothing on a shared disk.
"""

import os
import re
import shutil
import time
import uuid
from collections.abc import Callable
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
ABANDONED = 86400.0
"""Seconds after its last change from which an unlocked file of an earlier version counts as left by a killed writer."""


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


def temporary_file(folder: Path) -> tuple[Path, int]:
    """Make a temporary file; what killed writers left in the folder is removed first.

    Args:
        folder: The folder.

    Returns:
        Its path, and the descriptor that holds its lock.

    Raises:
        OSError: If it cannot be made.
    """
    return _locked(folder, _new_file)


def temporary_folder(folder: Path) -> tuple[Path, int]:
    """Make a temporary folder; what killed writers left beside it is removed first.

    Args:
        folder: The folder to make it in.

    Returns:
        Its path, and the descriptor that holds its lock.

    Raises:
        OSError: If it cannot be made.
    """
    return _locked(folder, _new_folder)


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
