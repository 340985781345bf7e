"""Lock of a device of this host: processes measure on it one after another, whatever their stores."""

import hashlib
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bench.toolkit.files import cache_folder

FOLDER = "measuring"
"""Folder of the locks in the cache folder."""
SILENT = 5.0
"""Seconds of waiting after which a message says for what."""


@contextmanager
def alone(device: str, what: str, notify: Callable[[str], None]) -> Iterator[None]:
    """Keep other processes of this user from measuring on a device meanwhile.

    The system frees the lock of a process that was killed.

    Args:
        device: Model of the device.
        what: What is measured, for processes that wait.
        notify: Called with a message after SILENT seconds of waiting, and where no lock can be made.

    Yields:
        Once no other process measures.
    """
    lock = lock_file(device)
    holder = lock.with_suffix(".txt")
    held = FileLock(lock)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            held.acquire(timeout=SILENT)
        except Timeout:
            notify(f"waiting until this is measured: {_read(holder)}")
            held.acquire()
        holder.write_text(f"{what}, by process {os.getpid()}", encoding="utf-8")
    except OSError as error:
        notify(f"{lock} cannot be locked ({error}), so that other processes may measure at the same time")
    try:
        yield
    finally:
        held.release()


def lock_file(device: str) -> Path:
    """Path of the lock of a device of this host.

    Args:
        device: Model of the device.

    Returns:
        The path, in the cache folder.
    """
    name = hashlib.sha256(f"{socket.gethostname()} {device}".encode()).hexdigest()[:16]
    return cache_folder() / FOLDER / f"{name}.lock"


def _read(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8")
    except OSError:
        return "something of another process"
