"""Studies: what they find, what they keep, who may share them, and what ends them."""

import math
import os
import re
import signal
import sys
import time
import warnings
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from bench.contracts import BenchError, StoreError, UsageError
from sweeps.progress import TrialLines
from sweeps.report import figures
from sweeps.sampling import grid_of
from sweeps.storage import open_storage
from tests.helpers import preloaded


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_finds_a_planted_optimum(sweep, sampler):
    fixed = {} if sampler == "tpe" else {"mode": "right"}
    made = sweep(trials=50, sampler=sampler, objectives=["likelihood"], set=fixed)
    made.run()
    best = made.best()
    assert best.config.get("mode") == "right"
    assert best.config["x"] == pytest.approx(3, abs=1.5)
    assert 20 <= best.config["y"] <= 80
    assert best.tuning.trials == 50
    assert best.tuning.validation == "cross_validation"


@pytest.mark.slow
def test_the_first_trial_is_the_default_so_that_tuning_never_chooses_worse(sweep):
    made = sweep(trials=3, sampler="random")
    made.run()
    assert made.ended()[0].params == {"x": -8.0, "y": 1, "mode": "right"}


@pytest.mark.slow
def test_the_first_trial_of_faast_has_the_task_s_prior_or_the_nearest_of_its_range(sweep):
    made = sweep(method="faast", trials=2, sampler="random")
    given = made.trials.resolved.prior_strength
    made.run()
    first, second = (trial.params for trial in made.ended())
    assert first == {"alpha": 0.8, "prior_strength": min(1e4, max(0.1, given))}
    assert second != first
    # "auto" is a search of its own, which no value of a range stands for.
    assert sweep(method="knn").trials.default() is None
    assert sweep(method="knn", set={"prior_strength": "auto"}).trials.default() == {"k": 10}


@pytest.mark.slow
def test_each_trial_has_a_line_with_the_best_so_far_and_the_time_that_is_left(sweep):
    made, lines, times = sweep(trials=3, sampler="random"), [], iter(range(0, 100, 10))
    made.on_trial = TrialLines(made, lines.append, lambda: next(times))
    made.run()
    first, second, third = lines
    assert re.fullmatch(r"\[1/3\] trial 0: score (\S+), best \1; about 20 s left", first)
    assert re.fullmatch(r"\[2/3\] trial 1: score \S+, best \S+; about 10 s left", second)
    best = max(trial.values[0] for trial in made.ended())
    assert third.startswith("[3/3] trial 2: score ")
    assert third.endswith(f", best {best:.4g}")


@pytest.mark.slow
def test_a_grid_has_no_more_points_than_trials_and_ends_when_all_were_tried(sweep):
    made = sweep(trials=10, sampler="grid")
    points = grid_of(made.trials.space, 10)
    assert {name: len(values) for name, values in points.items()} == {"x": 2, "y": 2, "mode": 2}
    assert points["y"] == [1, 1000]
    made.run()
    assert len(made.ended()) == 8
    assert len({tuple(trial.params.values()) for trial in made.ended()}) == 8


@pytest.mark.slow
def test_a_study_goes_on_where_it_ended_and_draws_anew(sweep):
    sweep(trials=4, sampler="random").run()
    longer = sweep(trials=9, sampler="random")
    assert len(longer.ended()) == 4
    longer.run()
    assert len(longer.ended()) == 9
    assert len({trial.params["x"] for trial in longer.ended()}) == 9
    longer.run()
    assert len(longer.ended()) == 9


@pytest.mark.slow
def test_another_definition_is_another_study(sweep):
    assert len({sweep(**fields).name for fields in ({}, {"seed": 1}, {"set": {"x": 1.0}}, {"folds": 3})}) == 4
    assert sweep(trials=3).name == sweep(trials=30).name


@pytest.mark.slow
def test_two_workers_share_one_journal(sweep):
    made = sweep(trials=7, workers=2, sampler="random", set={"seconds": 0.1})
    made.run()
    ended = made.ended()
    assert [trial.number for trial in ended] == list(range(7))
    # The one that is ready first may have run them all.
    assert not any(f":{os.getpid()}:" in trial.user_attrs["process"] for trial in ended)
    assert len({trial.params["x"] for trial in ended}) == 7


@pytest.mark.slow
def test_two_studies_of_one_name_on_one_journal_are_one(sweep):
    first, second = sweep(trials=3, sampler="random"), sweep(trials=6, sampler="random")
    first.run()
    second.run()
    assert first.name == second.name
    assert len(first.ended()) == 6


@pytest.mark.slow
def test_any_storage_of_optuna_s_will_do(sweep, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    made = sweep(trials=3, storage=url)
    made.run()
    assert len(optuna.load_study(study_name=made.name, storage=url).trials) == 3


@pytest.mark.parametrize("where", ["nosuchbase://host/name", "/proc/nowhere/journal.log"])
def test_a_storage_that_cannot_be_used_is_reported(where):
    with pytest.raises(StoreError, match=f"storage {where} cannot be used"):
        open_storage(where)


@pytest.mark.slow
def test_killed_and_gone_on_with(sweep, tmp_path, outside, in_process):
    words = [
        "sweep", "--task", "stripes", "--backbone", "pixels", "--method", "planted", "--trials", "5", "--episodes", "3",
        "--set", "seconds=0.2", "--sampler", "random", "--logger", "none", "--out", str(tmp_path / "studies"),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(outside), *sys.path])}
    process = preloaded.Program("bench", *words, env=environment)
    made = sweep(trials=5, sampler="random", set={"seconds": 0.2})
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (Path(made.where).exists() and len(made.ended()) >= 2):
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {trial.number for trial in made.ended()}
    assert 2 <= len(before) < 5

    assert in_process(*words)[0] == 0
    made = sweep(trials=5, sampler="random", set={"seconds": 0.2})
    assert len(made.ended()) == 5
    assert before <= {trial.number for trial in made.ended()}
    # What was under way when the process was killed failed for no reason of its own, and was tried again.
    assert not made.study.get_trials(states=(TrialState.RUNNING,))
    assert (tmp_path / "studies" / made.name / "best.yaml").is_file()


@pytest.mark.slow
def test_a_failing_trial_is_a_failed_trial(sweep):
    made = sweep(trials=12, sampler="random", set={"fail_above": 0.0})
    made.run()
    states = {trial.state for trial in made.ended()}
    assert states == {TrialState.COMPLETE, TrialState.FAIL}
    assert len(made.ended()) == 12
    failed = next(trial for trial in made.ended() if trial.state is TrialState.FAIL)
    assert failed.user_attrs["reason"].startswith("RuntimeError: x is")
    assert made.best().config["x"] <= 0


@pytest.mark.slow
def test_a_study_with_only_failures_says_why(sweep):
    made = sweep(trials=3, set={"fail_above": -100.0})
    made.run()
    assert len(made.ended()) == 3
    with pytest.raises(BenchError, match="none of 3 trials was completed; the first ended with: RuntimeError: x is"):
        made.best()


@pytest.mark.slow
def test_several_objectives_have_a_pareto_set(sweep):
    made = sweep(trials=8, sampler="random", objectives=["score", "adapt_seconds", "peak_memory_mb"])
    made.run()
    pareto = made.pareto_trials()
    scores = [trial.values[0] for trial in pareto]
    assert scores == sorted(scores, reverse=True)
    for trial in pareto:
        assert not any(
            other.values[0] >= trial.values[0]
            and all(ours < theirs for ours, theirs in zip(other.values[1:], trial.values[1:], strict=True))
            for other in made.ended()
        )
    assert made.best().tuning.score == max(trial.values[0] for trial in made.ended())
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        names = figures(made)
    assert {"score: importances", "adapt_seconds: slices", "peak_memory_mb: history", "Pareto set"} <= names.keys()


@pytest.mark.slow
def test_hyperband_gives_up_what_falls_behind(sweep):
    made = sweep(
        method="linear_probe", trials=16, sampler="random", objectives=["likelihood"], episodes=2, folds=2,
        set={"steps": 9, "weight_decay": 1e-4}, space={"lr": {"low": 1e-6, "high": 1.0, "log": True}},
    )  # fmt: skip
    made.run()
    pruned = [trial for trial in made.ended() if trial.state is TrialState.PRUNED]
    completed = [trial for trial in made.ended() if trial.state is TrialState.COMPLETE]
    assert pruned
    assert completed
    assert all(set(trial.intermediate_values) <= {1, 3} for trial in made.ended())
    # Which trials share a bracket is drawn: each that was given up was behind another one after as many steps.
    for trial in pruned:
        step = max(trial.intermediate_values)
        others = [other.intermediate_values.get(step, -math.inf) for other in made.ended()]
        assert trial.intermediate_values[step] < max(others)
    assert max(made.ended(), key=lambda trial: trial.intermediate_values[1]).state is TrialState.COMPLETE


@pytest.mark.slow
def test_time_ends_a_study(sweep):
    made = sweep(trials=1000, seconds=1.0, sampler="random")
    made.run()
    assert 0 < len(made.ended()) < 1000


def test_cmaes_says_what_it_needs(sweep):
    with pytest.raises(UsageError, match="cmaes needs two ranges or more"):
        sweep(sampler="cmaes", set={"x": 0.0}).run()
    with pytest.raises(UsageError, match="cmaes serves one objective"):
        sweep(sampler="cmaes", objectives=["score", "adapt_seconds"]).run()
