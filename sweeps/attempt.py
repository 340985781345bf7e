"""One trial of a study, in this process."""

from collections.abc import Callable
from dataclasses import dataclass, field

import optuna
from optuna.pruners import NopPruner
from optuna.trial import FrozenTrial, TrialState

from bench.contracts.errors import one_line_error
from sweeps.shared_limits import SharedLimits
from sweeps.trials import Trials
from sweeps.workers import PROCESS, end_trial, this_process

REASON = "reason"
"""Attribute of a trial that failed by itself. A trial that was ended from outside has none, and does not count."""


class FailedTrialError(Exception):
    """A trial that failed by itself, or that is one more than its study has."""


@dataclass
class Attempt:
    """One trial.

    Attributes:
        trials: Evaluation of configs.
        limits: Limits of the study.
        on_trial: Called with the ended trial.
    """

    trials: Trials
    limits: SharedLimits
    on_trial: Callable[[FrozenTrial], None]
    _number: int | None = field(default=None, init=False)
    _interrupt: BaseException | None = field(default=None, init=False)

    def run(self, study: optuna.Study) -> None:
        """Run the trial. One that fails is a failed trial.

        Args:
            study: The study.

        Raises:
            BaseException: An interrupt, after the trial is marked as failed.
            Exception: An error of the storage.
        """
        callbacks = [lambda _, trial: self.on_trial(trial)]
        try:
            study.optimize(self._objective, n_trials=1, catch=(FailedTrialError,), callbacks=callbacks)
        except Exception:
            if self._interrupt is not None:
                raise self._interrupt from None
            # Another process may have taken this one for ended, after it was stopped, and repeats the trial.
            if self._number is None or not study.get_trials(deepcopy=False)[self._number].state.is_finished():
                raise

    def _objective(self, trial: optuna.Trial) -> float | list[float]:
        self._number = trial.number
        try:
            trial.set_user_attr(PROCESS, this_process())
            varied = {dimension.name: dimension.suggest(trial) for dimension in self.trials.space}
            if self.limits.is_surplus(trial):
                raise FailedTrialError("other processes began the last trials of the study")
            config = self.trials.config(varied)

            def report(ninths: int, score: float) -> None:
                trial.report(score, ninths)
                if trial.should_prune():
                    raise optuna.TrialPruned

            prunes = not isinstance(trial.study.pruner, NopPruner)
            values = self.trials.values(config, report if prunes else None)
        except (optuna.TrialPruned, FailedTrialError):
            raise
        except Exception as error:
            trial.set_user_attr(REASON, one_line_error(error))
            raise FailedTrialError from error
        except BaseException as interrupt:
            # A trial that is still marked as running would only fail at the next start of the study.
            self._interrupt = interrupt
            end_trial(trial.study, trial.study.get_trials()[trial.number])
            raise
        return values if len(values) > 1 else values[0]


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial counts as one of its study's.

    Args:
        trial: The trial.

    Returns:
        True if it has ended, and not from outside.
    """
    return trial.state in {TrialState.COMPLETE, TrialState.PRUNED} or (
        trial.state is TrialState.FAIL and REASON in trial.user_attrs
    )
