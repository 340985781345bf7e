"""Locks of a device of this host: processes measure on it one after another, and with nothing of ours beside them."""

import hashlib
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bench.toolkit.files import cache_folder
from bench.toolkit.work_lock import work_lock

FOLDER = "measuring"
"""Folder of the locks in the cache folder."""


@contextmanager
def alone(device: str, what: str, notify: Callable[[str], None]) -> Iterator[None]:
    """Keep other processes of this user from measuring on a device, and from ``beside_others``, meanwhile.

    The system frees the lock of a process that was killed; one that is stopped is waited for for a minute.

    Args:
        device: Model of the device.
        what: What is measured, for processes that wait.
        notify: Called with a message after some seconds of waiting, and where no lock can be made.

    Yields:
        Once no other process measures or computes.
    """
    lock = lock_file(device)
    with ExitStack() as stack:
        try:
            stack.enter_context(work_lock(lock, what, notify))
            for other in sorted(_folder_of_others(device).glob("*.lock")):
                with work_lock(other, what, notify):
                    pass
                _remove(other)
        except OSError as error:
            notify(f"{lock} cannot be locked ({error}), so that other processes may measure at the same time")
        yield


@contextmanager
def beside_others(device: str, what: str, notify: Callable[[str], None]) -> Iterator[None]:
    """Compute what is not measured: wait until no process measures on the device, and keep others from it meanwhile.

    Args:
        device: Model of the device.
        what: What is computed, for processes that wait.
        notify: Called with a message after some seconds of waiting.

    Yields:
        Once no process measures.
    """
    own = _folder_of_others(device) / f"{os.getpid()}.lock"
    with ExitStack() as stack:
        try:
            # Through the same door as those that measure, so that these do not wait for ever.
            with work_lock(lock_file(device), what, notify):
                stack.enter_context(work_lock(own, what, notify))
                stack.callback(_remove, own)
        except OSError:
            pass  # nobody can measure alone there, which ``alone`` says
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


def _folder_of_others(device: str) -> Path:
    """Folder with a lock of each process that computes beside others."""
    return lock_file(device).with_suffix(".others")


def _remove(lock: Path) -> None:
    for path in (lock, lock.with_suffix(".json")):
        with suppress(OSError):
            path.unlink(missing_ok=True)
