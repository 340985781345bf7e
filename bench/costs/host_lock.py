"""Lock of a device of this host: processes measure on it one after another, whatever their stores."""

import hashlib
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.toolkit.files import cache_folder
from bench.toolkit.work_lock import work_lock

FOLDER = "measuring"
"""Folder of the locks in the cache folder."""


@contextmanager
def alone(device: str, what: str, notify: Callable[[str], None]) -> Iterator[None]:
    """Keep other processes of this user from measuring on a device meanwhile.

    The system frees the lock of a process that was killed; one that is stopped is waited for for a minute.

    Args:
        device: Model of the device.
        what: What is measured, for processes that wait.
        notify: Called with a message after some seconds of waiting, and where no lock can be made.

    Yields:
        Once no other process measures.
    """
    lock = lock_file(device)
    with ExitStack() as stack:
        try:
            stack.enter_context(work_lock(lock, what, notify))
        except OSError as error:
            notify(f"{lock} cannot be locked ({error}), so that other processes may measure at the same time")
        yield


def lock_file(device: str) -> Path:
    """Path of the lock of a device of this host.

    Args:
        device: Model of the device.

    Returns:
        The path, in the cache folder.
    """
    name = hashlib.sha256(f"{socket.gethostname()} {device}".encode()).hexdigest()[:16]
    return cache_folder() / FOLDER / f"{name}.lock"
