"""A line for each trial that ends: its values, the best so far, and the time that is left."""

import time
from collections.abc import Callable

from optuna.trial import FrozenTrial, TrialState

from bench.runs.time_left import left_text
from sweeps.attempt import REASON
from sweeps.study import Sweep


class TrialLines:
    """Receiver of ended trials that writes a line for each."""

    def __init__(self, sweep: Sweep, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        """Start the clock.

        Args:
            sweep: The study.
            say: Writes a line.
            clock: A clock in seconds.
        """
        self._names, self._total = sweep.spec.objectives, sweep.total
        self._lower = sweep.trials.directions()[0] == "minimize"
        self._before = len(sweep.ended())
        self._say, self._clock, self._began = say, clock, clock()
        self._ended = 0
        self._best: float | None = None

    def __call__(self, trial: FrozenTrial) -> None:
        """Write the line of a trial.

        Args:
            trial: The trial, ended.
        """
        self._ended += 1
        number = min(self._total, self._before + self._ended)
        line = f"[{number}/{self._total}] trial {trial.number}: {self._result(trial)}"
        left = left_text((self._clock() - self._began) / self._ended * (self._total - number))
        self._say(f"{line}{left and f'; {left}'}")

    def _result(self, trial: FrozenTrial) -> str:
        if trial.state is TrialState.PRUNED:
            return "pruned"
        if not trial.values:
            return f"failed: {trial.user_attrs.get(REASON, 'no reason is known')}"
        first = trial.values[0]
        if self._best is None or (first < self._best if self._lower else first > self._best):
            self._best = first
        values = ", ".join(f"{name} {value:.4g}" for name, value in zip(self._names, trial.values, strict=True))
        return f"{values}, best {self._best:.4g}"
