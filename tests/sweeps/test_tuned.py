"""Tuned runs: equal trials for all, their cost in record and table, files of configs, published presets."""

import json
import shlex

import pytest
import yaml

from bench.contracts import UsageError
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.reports.rows import rows
from bench.results.store import Store
from bench.runs.executors.local import LocalExecutor
from bench.runs.runner import Runner, same_process
from bench.spec.best_config import read_configs
from bench.spec.expand import expand
from bench.spec.suite import Block
from sweeps.tuned import TuneAll
from tests.helpers.runs import Notebook


@pytest.fixture
def tune(outside, cache, tmp_path):
    """Function that tunes specs by a number of trials, and the lines that it reports."""
    quiet_lightning()
    lines = []

    tuner = TuneAll(None, None, DeviceOptions(accelerator="cpu"), tmp_path / "studies", lines.append)
    return (lambda specs, trials: tuner([(spec, trials) for spec in specs])), lines


def specs(methods, **changes):
    block = {"task": "stripes", "backbone": "pixels", "methods": methods, "shots": [3], "seeds": [0, 1]}
    return expand(Block.model_validate(block | changes))


@pytest.mark.slow
def test_every_method_gets_the_same_trials_and_seeds_share_a_config(tune):
    tuner, _ = tune
    requested = specs(["zero_shot", "faast", "knn", "lp_plus_plus"])
    found = tuner(requested, 4)
    assert len(found) == len(requested)
    for spec in found:
        if spec.method in {"zero_shot", "lp_plus_plus"}:
            assert spec.tuning is None
        else:
            assert spec.tuning.trials == 4
            assert spec.config
    assert len({str(spec.config) for spec in found if spec.method == "faast"}) == 1


@pytest.mark.slow
def test_an_executor_tunes_all_methods_as_one_process_does(tune, tmp_path):
    tuner, lines = tune
    requested = specs(["planted", "faast"], seeds=[0])
    executor, reported = LocalExecutor(2), []
    elsewhere = TuneAll(None, None, DeviceOptions(accelerator="cpu"), tmp_path / "other", reported.append, executor)
    try:
        found = elsewhere([(spec, 4) for spec in requested])
        assert len(executor._started) == 2
    finally:
        executor.close()
    seconds = {"tuning": {"seconds"}}
    expected = [spec.model_dump(exclude=seconds) for spec in tuner(requested, 4)]
    assert [spec.model_dump(exclude=seconds) for spec in found] == expected
    assert len(reported) == len(lines) == 2


@pytest.mark.slow
def test_a_method_that_fails_stays_untuned_and_is_reported(tune):
    tuner, lines = tune
    (spec, _) = tuner(specs(["planted"], set={"planted": {"fail_above": -100.0}}), 3)
    assert spec.tuning is None
    assert spec.config == {"fail_above": -100.0}
    assert lines[0].startswith("planted on stripes, 3 shots stays untuned: none of 3 trials was completed")


@pytest.mark.slow
def test_a_budget_limits_the_trials(tune):
    tuner, _ = tune
    (spec,) = tuner(specs(["knn"], seeds=[0], budget={"tuning_trials": 2}), 9)
    assert spec.tuning.trials == 2


@pytest.mark.slow
def test_tuned_and_untuned_rows_are_separate_and_the_search_is_a_cost(tune, tmp_path):
    tuner, _ = tune
    untuned = specs(["knn", "linear_probe"], seeds=[0], set={"linear_probe": {"steps": 5}}, match="knn:state_mb")
    tuned = tuner(untuned, 3)
    runner = Runner(Store(tmp_path / "store"), DeviceOptions(accelerator="cpu"), Notebook(), isolate=same_process)
    report = runner.run([*untuned, *tuned])
    assert not report.problems
    made = {(row.method, row.tuning_trials): row for row in rows(report.records)}
    assert set(made) == {("knn", 0), ("knn", 3), ("linear_probe", 0), ("linear_probe", 3)}
    assert made["knn", 3].tuning_seconds > 0
    record = next(record for record in report.records if record.spec.tuning and record.spec.method == "knn")
    assert record.costs.tuning_trials == 3
    assert "seconds" not in record.identity["tuning"]
    # The costs that others are matched to are the tuned method's own.
    matched = next(record for record in report.records if record.spec.match and record.spec.tuning)
    assert matched.identity["match"]["config"] == record.identity["config"]


@pytest.mark.slow
def test_more_trials_than_a_budget_has_are_a_row_that_says_so(tune, tmp_path):
    tuner, _ = tune
    (spec,) = tuner(specs(["knn"], seeds=[0]), 3)
    held = spec.model_copy(update={"budget": spec.budget.model_copy(update={"tuning_trials": 2})})
    runner = Runner(Store(tmp_path / "store"), DeviceOptions(accelerator="cpu"), Notebook(), isolate=same_process)
    (record,) = runner.run([held]).records
    assert record.status == "over_budget"
    assert record.reason == "tuning_trials is 3, 2 allowed"


@pytest.fixture
def bench(in_process):
    """Runs a command that succeeds, and gives what it printed."""

    def command(*words):
        code, out, err = in_process(*words)
        assert code == 0, err
        return out

    return command


@pytest.mark.slow
def test_blocks_of_a_suite_have_trials_of_their_own(tune, tmp_path, bench, in_process):
    block = {"task": "stripes", "backbone": "pixels", "methods": ["knn"], "shots": [3], "episodes": 2}
    suite = tmp_path / "suite.yaml"
    suite.write_text(yaml.safe_dump({"name": "mixed", "blocks": [block, block | {"tune_all": 3}]}), encoding="utf-8")
    bench("run", suite, "--logger", "none", "--measure-in", "inline", "--store", tmp_path / "runs")
    found = json.loads(bench("leaderboard", "--store", tmp_path / "runs", "--format", "json"))
    assert sorted(row["tuning_trials"] for row in found) == [0, 3]
    code, _, err = in_process("run", suite, "--tune-all", 5)
    assert code == 2
    assert "the suite mixed already has tune_all in its blocks" in err


@pytest.mark.slow
def test_the_command_that_a_sweep_prints_runs_its_config_beside_the_defaults(tune, tmp_path, bench, monkeypatch):
    monkeypatch.delenv("BENCH_DATA", raising=False)
    common = ("--task", "stripes", "--backbone", "pixels", "--logger", "none", "--set", "knn.prior_strength=2")
    how = ("--accelerator", "cpu", "--trust")
    said = bench("sweep", *common, *how, "--method", "knn", "--shots", 3, "--trials", 3, "--out", tmp_path / "studies")
    (best,) = (tmp_path / "studies").glob("*/best.yaml")
    page = (best.parent / "report.html").read_text(encoding="utf-8")
    assert "score: slices" in page
    assert "score: history" in page
    command = said.splitlines()[-1]
    assert command == f"bench run --task stripes --backbone pixels --shots 3 --config {best} --accelerator cpu --trust"
    quick = ("--episodes", 2, "--measure-in", "inline", "--logger", "none", "--store", tmp_path / "runs")
    table = bench(*shlex.split(command)[1:], *quick)
    assert "3 trials" in table
    rows = json.loads(bench("leaderboard", "--store", tmp_path / "runs", "--format", "json"))
    assert sorted((row["method"], row["tuning_trials"]) for row in rows) == [("knn", 0), ("knn", 3)]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("- 1", "needs a mapping of fields, got list"),
        ("a: [", "is not valid YAML"),
        ("method: knn", "needs the field 'config'"),
    ],
)
def test_a_file_that_is_no_config_is_reported(tmp_path, content, error):
    path = tmp_path / "best.yaml"
    path.write_text(content)
    with pytest.raises(UsageError, match=error):
        read_configs([path])
    with pytest.raises(UsageError, match="no config can be read from"):
        read_configs([tmp_path / "missing.yaml"])


def test_two_configs_of_one_method_are_refused(tmp_path):
    tuning = {
        "trials": 1, "seconds": 0.1, "sampler": "tpe", "objective": "score", "validation": "splits", "score": 1.0,
        "study": "s",
    }  # fmt: skip
    path = tmp_path / "best.yaml"
    path.write_text(yaml.safe_dump({"method": "knn", "config": {"k": 3}, "tuning": tuning}))
    with pytest.raises(UsageError, match="--config gives two configs of knn"):
        read_configs([path, path])


@pytest.mark.parametrize(
    ("task", "backbone", "method", "shots", "config"),
    [
        ("cifar10", None, "faast", 5, {"alpha": 0.8, "prior_strength": 400}),
        ("mini_imagenet", None, "faast", 5, {"alpha": 0.8, "prior_strength": 800}),
        ("mini_imagenet:ids", None, "faast", "full", {"alpha": 0.8, "prior_strength": 0}),
        ("sst2", "hf:openai-community/gpt2-xl", "faast@hidden_states", 5, {"site": "hidden_states", "alpha": 0.905}),
        ("imdb", "hf:openai-community/gpt2-xl", "faast_lm", "full", {"site": "hidden_states", "alpha": 0.7}),
        ("iwslt2017:de-en", "hf:Qwen/Qwen2.5-3B-Instruct", "faast", 100, {"alpha": 0.9}),
        ("wikitext103", None, "faast", 4, {"alpha": 0.8}),
        ("cifar10", None, "linear_projection", 5, {"reshuffle": True}),
        (
            "mini_imagenet",
            None,
            "linear_projection",
            "full",
            {"validation_parts": 5, "patience": None, "reshuffle": True},
        ),
    ],
)
def test_published_values_are_a_preset(task, backbone, method, shots, config):
    block = Block(task=task, backbone=backbone, methods=[method], shots=[shots], preset="published")
    (spec,) = expand(block)
    assert spec.config == {name: value if value is None else pytest.approx(value) for name, value in config.items()}


def test_what_a_user_sets_goes_before_a_preset_and_a_task_it_does_not_name_is_refused():
    block = Block(task="cifar10", methods=["faast"], shots=[1], preset="published", set={"faast": {"alpha": 1.0}})
    assert expand(block)[0].config == {"alpha": 1.0, "prior_strength": 400}
    with pytest.raises(UsageError, match="the preset published has no rule for faast on digits"):
        expand(block.model_copy(update={"task": "digits"}))
    with pytest.raises(UsageError, match="no preset 'publishd'; did you mean 'published'"):
        expand(block.model_copy(update={"preset": "publishd"}))
