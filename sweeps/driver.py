"""Driver of a study whose trials an executor evaluates: it alone draws trials and writes to the storage."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import NopPruner
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from bench.contracts.errors import one_line_error
from bench.runs.executors import TRIES, Executor, LostWorker, Refused
from sweeps.attempt import REASON
from sweeps.definition import SweepSpec
from sweeps.journal import Notify
from sweeps.shared_limits import SharedLimits
from sweeps.storage import HEARTBEAT
from sweeps.trials import RUNGS, Trials
from sweeps.units import TrialResult, TrialUnit
from sweeps.workers import PROCESS, end_trial, this_process

POLL = 0.25
"""Seconds to wait for a trial's end before a look at those of other processes."""


@dataclass
class _Begun:
    """A trial under way: what is left of its rungs, and how often its worker was lost."""

    trial: optuna.Trial
    varied: dict[str, Any]
    rungs: list[int]
    lost: int = 0

    def unit(self, spec: SweepSpec) -> TrialUnit:
        """What is to be evaluated next."""
        ninths = self.rungs[0] if self.rungs else None
        return TrialUnit(f"{self.trial.number} {ninths}", spec, self.varied, ninths)


@dataclass
class TrialDriver:
    """Runs the missing trials of a study by an executor.

    Attributes:
        trials: Evaluation of configs, of which this process needs the space alone.
        study: The study.
        storage: Its storage.
        limits: Its limits.
        executor: The executor, started. It stays so for further studies, unless an error ends this one.
        on_trial: Called with each ended trial.
        notify: Receiver of a line about a lost worker.
    """

    trials: Trials
    study: optuna.Study
    storage: BaseStorage
    limits: SharedLimits
    executor: Executor
    on_trial: Callable[[FrozenTrial], None]
    notify: Notify
    _running: dict[str, _Begun] = field(default_factory=dict, init=False)
    _alive: float = field(default=0.0, init=False)

    def run(self) -> None:
        """Run trials until the study, over all its processes, has as many as it may or no time left.

        Raises:
            BenchError: If trials cannot be evaluated where the executor does so.
            StoreError: If the storage cannot be written.
        """
        began = time.monotonic()
        try:
            while (needed := self._begin_all(began)) is not False or self._running:
                if self._running:
                    self._take_all(self.executor.finished(POLL))
                    self._give_sign_of_life()
                elif needed is None:
                    self.limits.another_trial(time.monotonic() - began)  # the last trials are those of other processes
        except BaseException:
            for begun in self._running.values():
                end_trial(self.study, self.study.get_trials(deepcopy=False)[begun.trial.number])
            self.executor.close()
            raise

    def _begin_all(self, began: float) -> bool | None:
        """Begin as many trials as are evaluated at once; whether the study needs more, None where that is open."""
        needed: bool | None = True
        while len(self._running) < self.executor.places():
            needed = self.limits.look(time.monotonic() - began)
            if not needed:
                break
            self._begin()
        return needed

    def _begin(self) -> None:
        trial = self.study.ask()
        self.limits.workers.own.add(trial.number)
        trial.set_user_attr(PROCESS, this_process())
        varied = {dimension.name: dimension.suggest(trial) for dimension in self.trials.space}
        if self.limits.is_surplus(trial):
            self._tell(trial, state=TrialState.FAIL)
            return
        try:
            self.trials.config(varied)
        except Exception as error:
            self._fail(trial, one_line_error(error))
            return
        self._submit(_Begun(trial, varied, [] if isinstance(self.study.pruner, NopPruner) else list(RUNGS[:-1])))

    def _submit(self, begun: _Begun) -> None:
        unit = begun.unit(self.trials.spec)
        self._running[unit.id] = begun
        self.executor.submit(unit)

    def _take_all(self, outcomes: Iterable[tuple[Any, object]]) -> None:
        """Keep outcomes; what ends the study comes after all others."""
        refused = list[Refused]()
        for unit, outcome in outcomes:
            if isinstance(outcome, Refused):
                refused.append(outcome)
                continue
            begun = self._running.pop(unit.id)
            # Another process may have taken this one for ended, after it was stopped, and repeats the trial.
            with suppress(UpdateFinishedTrialError):
                self._take(begun, outcome)
        for each in refused:
            raise each.error

    def _take(self, begun: _Begun, outcome: object) -> None:
        trial = begun.trial
        if isinstance(outcome, LostWorker):
            begun.lost += 1
            if begun.lost < TRIES:
                self.notify(f"trial {trial.number} is evaluated again: {outcome.reason}")
                self._submit(begun)
            else:
                self._fail(trial, outcome.after_all_tries())
            return
        assert isinstance(outcome, TrialResult)
        if outcome.reason:
            self._fail(trial, outcome.reason)
        elif not begun.rungs:
            self._tell(trial, list(outcome.values))
        else:
            trial.report(outcome.values[0], begun.rungs.pop(0))
            if trial.should_prune():
                self._tell(trial, state=TrialState.PRUNED)
            else:
                self._submit(begun)

    def _fail(self, trial: optuna.Trial, reason: str) -> None:
        trial.set_user_attr(REASON, reason)
        self._tell(trial, state=TrialState.FAIL)

    def _tell(self, trial: optuna.Trial, values: list[float] | None = None, state: TrialState | None = None) -> None:
        self.on_trial(self.study.tell(trial, values, state, skip_if_finished=True))
        self.limits.workers.own.discard(trial.number)

    def _give_sign_of_life(self) -> None:
        """Tell a database that the trials under way go on, as Optuna does for trials that it evaluates itself."""
        if not isinstance(self.storage, RDBStorage) or time.monotonic() - self._alive < HEARTBEAT:
            return
        self._alive = time.monotonic()
        study = self.storage.get_study_id_from_name(self.study.study_name)
        for begun in self._running.values():
            number = begun.trial.number
            self.storage.record_heartbeat(self.storage.get_trial_id_from_study_id_trial_number(study, number))
