"""Trials that an executor evaluates: those of one process, whatever ends meanwhile."""

import pytest
from optuna.trial import TrialState

from bench import api
from bench.contracts import BenchError, UsageError
from bench.runs.executors import TRIES, LostWorker, Refused
from bench.runs.executors.local import LocalExecutor
from sweeps.attempt import REASON


class Here:
    """An executor that evaluates each trial at once in this process, unless something else comes of it.

    Attributes:
        instead: What comes of the first units, one by one, in place of their evaluation.
    """

    name = "local"

    def __init__(self, *instead, places=1):
        self.instead, self.at_once, self.outcomes, self.units = list(instead), places, [], []

    def start(self, options):
        self.options, self.runner = options, options.runner()

    def device(self):
        return self.options.devices.device_kind(), self.options.devices.device_name()

    def places(self):
        return self.at_once

    def submit(self, unit):
        self.units.append(unit)
        outcome = self.instead.pop(0) if self.instead else self.runner.execute(unit)
        self.outcomes.append((unit, outcome))

    def finished(self, seconds):
        found, self.outcomes = self.outcomes, []
        if any(isinstance(outcome, KeyboardInterrupt) for _, outcome in found):
            raise KeyboardInterrupt
        return found

    def close(self):
        self.runner.close()


def trials(made):
    """What must not depend on where a trial was evaluated."""
    return [
        (trial.number, trial.state, trial.params, trial.values, trial.intermediate_values, trial.user_attrs.get(REASON))
        for trial in made.study.get_trials()
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"sampler": "tpe", "set": {"fail_above": 5.0}, "trials": 8},
        {"sampler": "grid", "trials": 10},
        {"method": "linear_probe", "set": {"steps": 9}, "trials": 4, "sampler": "random"},
    ],
    ids=str,
)
def test_trials_are_those_of_one_process(sweep, tmp_path, fields):
    alone = sweep(storage=str(tmp_path / "alone.log"), **fields)
    alone.run()
    handed = sweep(storage=str(tmp_path / "handed.log"), executor=Here(), **fields)
    handed.run()
    assert trials(handed) == trials(alone)
    assert handed.name == alone.name
    assert handed.best().config == alone.best().config
    again = Here()
    sweep(storage=str(tmp_path / "handed.log"), executor=again, **fields).run()
    assert again.units == []


@pytest.mark.slow
def test_two_processes_evaluate_the_trials_of_one_journal(sweep, tmp_path):
    fields = {"sampler": "random", "trials": 6}
    alone = sweep(storage=str(tmp_path / "alone.log"), **fields)
    alone.run()
    handed = sweep(storage=str(tmp_path / "handed.log"), executor=LocalExecutor(2), **fields)
    handed.run()
    assert trials(handed) == trials(alone)


@pytest.mark.slow
def test_a_trial_whose_worker_was_lost_is_evaluated_again(sweep):
    lines = []
    made = sweep(trials=2, sampler="random", executor=Here(LostWorker("killed")))
    made.notify = lines.append
    made.run()
    assert [trial.state for trial in made.study.get_trials()] == [TrialState.COMPLETE] * 2
    assert lines == ["trial 0 is evaluated again: killed"]


@pytest.mark.slow
def test_a_trial_that_always_ends_its_worker_is_a_failed_trial(sweep):
    made = sweep(trials=2, sampler="random", executor=Here(*[LostWorker("killed")] * TRIES))
    made.notify = lambda line: None
    made.run()
    assert [trial.state for trial in made.study.get_trials()] == [TrialState.FAIL, TrialState.COMPLETE]
    assert made.ended()[0].user_attrs[REASON] == f"its worker ended {TRIES} times before it answered: killed"


@pytest.mark.slow
@pytest.mark.parametrize(
    "ending", [Refused(BenchError("no such folder")), KeyboardInterrupt()], ids=["error", "interrupt"]
)
def test_what_ends_a_study_keeps_what_came_with_it_and_the_same_study_goes_on(sweep, ending):
    made = sweep(trials=4, sampler="random", executor=Here(ending, places=2))
    with pytest.raises((BenchError, KeyboardInterrupt)):
        made.run()
    states = [trial.state for trial in made.study.get_trials()]
    # The config of the trial that was ended waits to be tried again.
    assert states.count(TrialState.WAITING) == states.count(TrialState.FAIL) > 0
    assert TrialState.COMPLETE in states or isinstance(ending, KeyboardInterrupt)
    sweep(trials=4, sampler="random").run()
    after = sweep(trials=4, sampler="random")
    assert len(after.ended()) == 4
    assert len({trial.params["x"] for trial in after.ended()}) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"executor": "slurm"}, "executor 'slurm'"),
        ({"address": "auto"}, "address is an option of --executor ray"),
        ({"processes": 2, "jobs": 2}, "give one"),
        ({"template": "0-2"}, "a sweep takes one template, got '0-2'"),
        ({"set": "knn.k=1"}, "a sweep tunes one method, got a field of knn: knn.k; give fields of faast"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        api.sweep(task="digits", method="faast", **options)
