"""Processes that share a study, and the trials of those that have ended."""

import os
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import optuna
import psutil
from filelock import FileLock, Timeout
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from sweeps.storage import is_url, retry

PROCESS = "process"
"""Attribute of a trial with the name of its process."""
STOPPED_LIMIT = 60.0
"""Seconds after which a stopped process (SIGSTOP) counts as ended; its trial is repeated even if it goes on."""
NAMELESS_LIMIT = 10.0
"""Seconds after which a trial without the name of its process, which it gets first of all, counts as ended."""
CLOCK_CORRECTION = 60.0
"""Seconds by which the start time of one process may differ between two readings: the system adds the time since it
booted to a boot time that follows corrections of the clock."""


def this_process() -> str:
    """Name of this process: host, number, and start time, since numbers are reused."""
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time()}"


class Workers:
    """Processes of a study.

    A process holds a lock beside the journal as long as it works on it. The kernel frees the lock of a killed process,
    that of another host or container too, where they share the file system. In a database, a process of this host
    is looked up by its number, and others count as ended when they gave no sign of life for a while.

    Attributes:
        journal: Path of the journal; None for a database.
        own: Numbers of the trials that this process has under way.
    """

    def __init__(self, storage: str) -> None:
        """Find the processes of a storage.

        Args:
            storage: Path of its journal, or URL of a database.
        """
        self.journal = None if is_url(storage) else Path(storage)
        self._since: dict[int, float] = {}
        self.own: set[int] = set()

    @contextmanager
    def present(self) -> Iterator[None]:
        """Context in which this process counts as working on the study."""
        path = self._path(this_process())
        if path is None:
            yield
            return
        with FileLock(path):
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def end_trials_of_ended(self, study: optuna.Study) -> None:
        """Mark the trials of ended processes as failed, and queue their configs again.

        Args:
            study: The study. A trial of this process that is not under way, because a full disk kept it from ending it,
                is ended too.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            optuna.storages.fail_stale_trials(study)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if self._has_ended(trial):
                end_trial(study, trial)

    def _has_ended(self, trial: FrozenTrial) -> bool:
        process = trial.user_attrs.get(PROCESS)
        if process is None:
            age = (datetime.now() - trial.datetime_start).total_seconds() if trial.datetime_start else 0.0
            return age > NAMELESS_LIMIT or self._lasts(trial, NAMELESS_LIMIT)
        found = _found(process)
        if found is not None and found.pid == os.getpid():
            return trial.number not in self.own
        path = self._path(process)
        if found is not None and _is_stopped(found):
            return self._lasts(trial, STOPPED_LIMIT)
        self._since.pop(trial.number, None)
        if path is None:
            return _is_here(process) and found is None
        return not _is_held(path)

    def _lasts(self, trial: FrozenTrial, limit: float) -> bool:
        """Whether a state of a trial has been seen for some seconds."""
        return time.monotonic() - self._since.setdefault(trial.number, time.monotonic()) > limit

    def _path(self, process: str) -> Path | None:
        if self.journal is None:
            return None
        return self.journal.with_name(f".{self.journal.name}.{process.replace(':', '-').replace('/', '-')}.lock")


def end_trial(study: optuna.Study, trial: FrozenTrial) -> None:
    """Mark a trial as failed that its process cannot end, and queue its config again.

    Args:
        study: The study.
        trial: The trial.
    """
    try:
        study.tell(trial.number, state=TrialState.FAIL)
    except (ValueError, UpdateFinishedTrialError):  # another process did so at the same moment
        return
    retry(study, study.get_trials()[trial.number])


def _is_held(path: Path) -> bool:
    """Whether a process holds a lock file; a file that nobody holds is removed."""
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            path.unlink(missing_ok=True)
    except Timeout:
        return True
    return False


def _is_here(process: str) -> bool:
    return process.rpartition(":")[0].rpartition(":")[0] == socket.gethostname()


def _found(process: str) -> psutil.Process | None:
    """A process of this host by its name; None if it has ended or is of another host."""
    if not _is_here(process):
        return None
    _, number, began = process.rsplit(":", 2)
    try:
        found = psutil.Process(int(number))
        return found if abs(found.create_time() - float(began)) < CLOCK_CORRECTION else None
    except (psutil.Error, ValueError):
        return None


def _is_stopped(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False
