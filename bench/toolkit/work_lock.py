"""Locks of pieces of work: one process at a time does each, and the others know which one they wait for.

The lock is one of the system, which ends with its process; a file beside it says which process has it. A process that
is stopped keeps its lock; after a minute the others go on without it.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

SILENT = 5.0
"""Seconds of waiting after which a message says for whom."""
STALLED = 60.0
"""Seconds after which a process that is stopped no longer keeps others waiting."""
POLL = 0.5
"""Seconds between two looks at the process that others wait for."""
_call = ""
"""Name of the call of the program that this process works for together with others; empty for a process of its own."""


@dataclass(frozen=True)
class Holder:
    """The process that has a lock.

    Attributes:
        what: The work.
        pid: Its process id.
        host: Its host.
        space: The space of process ids that ``pid`` belongs to, which differs between containers of one host.
        since: Time since when it has the lock.
        call: The call that it works for together with others; empty for a process of its own.
    """

    what: str
    pid: int
    host: str
    space: str
    since: str
    call: str = ""

    @classmethod
    def own(cls, what: str) -> "Holder":
        """This process, now.

        Args:
            what: The work.

        Returns:
            The holder.
        """
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        return cls(what, os.getpid(), socket.gethostname(), _space(), now, _call)

    @classmethod
    def read(cls, path: Path) -> "Holder | None":
        """Read the holder from a file.

        Args:
            path: The file.

        Returns:
            None if there is no such file or it is incomplete.
        """
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Write the holder to a file, for processes that wait; where that fails they wait for an unknown one.

        Args:
            path: The file.
        """
        with suppress(OSError):
            path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    def works(self) -> bool:
        """Whether the process runs, as far as can be known: one on another host is taken to do so."""
        if (self.host, self.space) != (socket.gethostname(), _space()):
            return True
        import psutil  # what waits for nobody does without

        stopped = {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP, psutil.STATUS_ZOMBIE}
        try:
            return psutil.Process(self.pid).status() not in stopped
        except psutil.NoSuchProcess:
            return False
        except psutil.Error:
            return True

    def __str__(self) -> str:
        return f"{self.what}, by process {self.pid} on {self.host} since {self.since}"


def work_for(call: str) -> None:
    """Make this process one of several that work for a call of the program: their waits for each other are not shown.

    Args:
        call: Any name that all of them have.
    """
    global _call
    _call = call


@contextmanager
def work_lock(
    path: Path, what: str, notify: Callable[[str], None] = lambda message: None, wait: bool = True
) -> Iterator[bool]:
    """Keep other processes from the same work meanwhile. The system frees the lock of a process that ends.

    Args:
        path: File of the lock, in a folder that is created.
        what: The work, for processes that wait.
        notify: Called with one line after SILENT seconds of waiting, and when a stopped process is passed over.
        wait: Whether to wait for another process.

    Yields:
        Whether this process has the lock; False only where it does not wait.

    Raises:
        OSError: If the lock cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another thread may free it.
    lock, note = FileLock(path, thread_local=False), path.with_suffix(".json")
    try:
        lock.acquire(timeout=SILENT if wait else 0)
    except Timeout:
        if wait:
            _wait(lock, note, notify)
    if lock.is_locked:
        Holder.own(what).write(note)
    try:
        yield lock.is_locked
    finally:
        lock.release()


def _wait(lock: FileLock, note: Path, notify: Callable[[str], None]) -> None:
    """Wait until a lock is free, or its holder has not worked for STALLED seconds."""
    shown, idle_since = None, time.monotonic()
    while not lock.is_locked:
        holder = Holder.read(note)
        # That workers of one call take turns is no news; one without a note has only just begun.
        if holder != shown and not (_call and (holder is None or holder.call == _call)):
            notify(f"waiting for {holder or 'another process'}")
            shown = holder
        if holder is None or holder.works():
            idle_since = time.monotonic()
        if time.monotonic() - idle_since >= STALLED and holder is not None:
            _take_over(lock, note, holder, notify)
        with suppress(Timeout):
            lock.acquire(timeout=POLL)


def _take_over(lock: FileLock, note: Path, stalled: Holder, notify: Callable[[str], None]) -> None:
    """Replace the lock file of a stalled process, whose lock is then one on a file without a name."""
    # Of several processes that wait, one takes over; the others find its note and wait for it.
    with FileLock(note.with_suffix(".taking")):
        if Holder.read(note) != stalled:
            return
        notify(f"process {stalled.pid} is stopped or gone, and others go on without it")
        Path(lock.lock_file).unlink(missing_ok=True)
        with suppress(Timeout):
            lock.acquire(timeout=POLL)
            Holder.own(stalled.what).write(note)


def _space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
