"""Limits of a study, counted over all processes that share it: its number of trials and its time."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import optuna
from optuna.trial import FrozenTrial, TrialState

from sweeps.journal import Notify
from sweeps.workers import PROCESS, Workers

POLL = 0.25
"""Seconds between two looks at the trials of other processes."""
WAIT_NOTICE = 5.0
"""Seconds of waiting for other processes before a message."""
NAMED_WITHIN = 5.0
"""Seconds within which a trial that another process began has a name and a point of the grid."""
GRID_POINT = "grid_id"
"""Attribute of a trial with the number of its point, by Optuna's sampler of grids."""
OPEN = (TrialState.RUNNING, TrialState.WAITING)


@dataclass
class SharedLimits:
    """Number of trials and seconds that a study has left.

    Attributes:
        study: The study.
        workers: Its processes.
        total: Largest number of trials.
        seconds: Largest sum of the seconds of all trials, and of this call; None for no limit.
        counts: Whether an ended trial is one of the total.
        notify: Receiver of a line about a wait.
    """

    study: optuna.Study
    workers: Workers
    total: int
    seconds: float | None
    counts: Callable[[FrozenTrial], bool]
    notify: Notify
    _noticed: bool = field(default=False, init=False)

    def another_trial(self, elapsed: float) -> bool:
        """Wait until the study needs another trial, or until all trials of other processes have ended.

        Args:
            elapsed: Seconds since this process began to work on the study.

        Returns:
            Whether to run another trial.
        """
        began = time.monotonic()
        while (needed := self.look(elapsed + time.monotonic() - began)) is None:
            if not self._noticed and time.monotonic() - began > WAIT_NOTICE:
                self._noticed = True
                running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
                names = ", ".join(sorted({str(trial.user_attrs.get(PROCESS, "a process")) for trial in running}))
                self.notify(f"waiting for the last {len(running)} trials of the study, of {names}")
            time.sleep(POLL)
        return needed

    def look(self, elapsed: float) -> bool | None:
        """Whether the study needs another trial.

        Args:
            elapsed: Seconds since this process began to work on the study.

        Returns:
            None where that depends on how trials end that run now.
        """
        self.workers.end_trials_of_ended(self.study)
        trials = self.study.get_trials(deepcopy=False)
        running = [trial for trial in trials if trial.state is TrialState.RUNNING]
        ended = [trial for trial in trials if self.counts(trial)]
        if len(ended) >= self.total:
            return False
        if len(ended) + len(running) < self.total and not self._time_is_up(ended, running, elapsed):
            return True
        return None if running else False

    def _time_is_up(self, ended: list[FrozenTrial], running: list[FrozenTrial], elapsed: float) -> bool:
        if self.seconds is None:
            return False
        spent = sum(trial.duration.total_seconds() for trial in ended if trial.duration)
        now = datetime.now()
        spent += sum(
            max(0.0, (now - trial.datetime_start).total_seconds()) for trial in running if trial.datetime_start
        )
        return max(spent, elapsed) >= self.seconds

    def is_surplus(self, trial: optuna.Trial) -> bool:
        """Whether the study needs no such trial, because other processes began others at the same moment.

        Args:
            trial: A trial that has just begun.

        Returns:
            True if the trials before it are as many as the study has, or one of them has its point of a grid.
        """
        deadline = time.monotonic() + NAMED_WITHIN
        while True:
            trials = self.study.get_trials(deepcopy=False)
            earlier = [other for other in trials[: trial.number] if other.state in OPEN or self.counts(other)]
            running = [other for other in earlier if other.state is TrialState.RUNNING]
            # A trial gets its point of a grid before the name of its process.
            if all(PROCESS in other.user_attrs for other in running) or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        point = trials[trial.number].system_attrs.get(GRID_POINT)
        repeated = point is not None and any(other.system_attrs.get(GRID_POINT) == point for other in earlier)
        return repeated or len(earlier) >= self.total
