"""What W&B's own client writes to disk is what a record says; its failures are never a run's."""

import csv
import json
import sys
import time

import pytest

from bench.contracts import UsageError
from bench.reports.rows import rows
from bench.reports.wandb_board import log_leaderboard
from bench.results.store import Store
from bench.runs.trackers import make_trackers
from bench.runs.trackers.record_log import display_name, metrics, row_name
from bench.runs.trackers.wandb_tracker import WandbTracker
from tests.helpers.offline_runs import finished, offline_runs
from tests.helpers.records import answered, made, record


@pytest.fixture
def keyless(tmp_path, monkeypatch):
    """A user who never heard of W&B."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR", "WANDB_PROJECT", "WANDB_ENTITY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    return tmp_path


@pytest.mark.slow
def test_without_a_key_a_real_client_keeps_everything_of_a_record_on_disk(keyless, capfd):
    folder = keyless / "store"
    tracker = WandbTracker(folder, suite="suite")
    assert tracker.hint() is None
    given = record()
    tracker(given)
    (seen,) = offline_runs(folder)
    assert seen["run"].run_id == given.id
    assert seen["run"].project == "faast-bench"
    assert seen["run"].run_group == "t-b-m [alpha=0.1]-5shot"
    assert seen["run"].job_type == "m"
    assert seen["run"].display_name == "t-b-m [alpha=0.1]-5shot-seed0"
    assert set(seen["run"].tags) == {"t", "m", "suite", "ok"}
    assert seen["exit"] == 0
    assert seen["config"]["shots"] == 5
    assert seen["config"]["seed"] == 0
    assert seen["config"]["status"] == "ok"
    assert seen["config"]["libraries"] == {"torch": "2"}
    assert seen["config"]["config"] == {"alpha": 0.1}
    assert seen["history"].items() >= metrics(given).items()
    assert tracker.hint() == f"W&B runs were kept offline; to send them: wandb sync {folder}/wandb/offline-run-*"
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == ""


@pytest.mark.slow
def test_installed_packages_are_listed_once_for_all_runs(keyless):
    from wandb import util

    tracker = WandbTracker(keyless / "store")
    tracker(record())
    listed = util.working_set()
    tracker(record(identity={"seed": 1}))
    assert util.working_set() is listed
    for path in (keyless / "store" / "wandb").glob("offline-run-*/*.wandb"):
        finished(path)
    first, second = (
        path.read_text() for path in (keyless / "store" / "wandb").glob("offline-run-*/files/requirements.txt")
    )
    assert "wandb==" in first
    assert first == second


@pytest.mark.slow
def test_texts_of_a_record_neither_steer_a_terminal_nor_become_formulas(keyless):
    hostile = {"task": "=1+1", "method": "@m", "config": {"\x1b[2J": ["=cmd|' /C calc'!A0", {"a": "+1"}], "b": -1}}
    tracker = WandbTracker(keyless / "store", suite="=g")
    failed = made(hostile, status="failed", reason="\x9b2J", value=None, episode_scores=[])
    tracker(failed.model_copy(update={"provenance": {"x": "\u202ea"}}))
    (seen,) = offline_runs(keyless / "store")
    assert seen["config"]["config"] == {"\\x1b[2J": ["'=cmd|' /C calc'!A0", {"a": "'+1"}], "b": -1}
    assert seen["config"]["reason"] == r"\x9b2J"
    assert seen["config"]["provenance"] == {"x": r"\u202ea"}
    assert seen["config"]["method"] == seen["run"].job_type == "'@m"
    assert set(seen["run"].tags) == {"'=1+1", "'@m", "'=g", "failed"}
    assert r"\x1b[2J" in seen["run"].run_group
    assert "\x1b" not in seen["run"].run_group


def test_the_numbers_have_their_units_in_their_names():
    given = record(limits={"steps": 9})
    assert (
        metrics(given).items()
        >= {
            "score/accuracy": pytest.approx(200 / 3),
            "score/ci_low": 66.5,
            "score/ci_high": 66.9,
            "seconds/encode": 1.5,
            "seconds/adapt": pytest.approx(1 / 3),
            "seconds/adapt_spread": 0.01,
            "seconds/per_query": pytest.approx(0.0001),
            "memory/peak_mb": 7.0,
            "memory/query_peak_mb": 5.0,
            "memory/state_mb": 0.25,
            "memory/optimizer_mb": 0.5,
            "flops/adapt": 100.0,
            "params/trainable": 12.0,
            "adapt/steps": 4.0,
            "budget/steps": 9.0,
        }.items()
    )
    failed = record(status="failed", reason="no", value=None, ci_low=None, ci_high=None, costs=None)
    assert metrics(failed) == {}


CURVE = [[1, 0.75], [2, 0.5], [4, 0.25]]


@pytest.mark.slow
def test_a_curve_is_logged_step_by_step(keyless):
    tracker = WandbTracker(keyless / "store")
    tracker(record(notes={"loss_curve": CURVE}))
    (path,) = (keyless / "store" / "wandb").glob("offline-run-*/*.wandb")
    points = []
    for message in finished(path):
        row = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in message.history.item}
        if "train/loss" in row:
            points.append([row["trainer/global_step"], row["train/loss"]])
    assert points == CURVE


def test_the_first_score_does_not_wait_until_wandb_is_imported(keyless, monkeypatch):
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    given = record()
    tracker = WandbTracker(keyless / "store")
    tracker.begin(given.id, given.spec)
    assert "wandb" not in sys.modules
    assert tracker.hint() is None


@pytest.mark.slow
def test_the_system_is_sampled_while_a_run_is_made_but_for_the_first_whose_score_does_not_wait_for_it(keyless):
    import wandb  # noqa: F401 (as timm does)

    first, given, folder = record(), record(identity={"seed": 1}), keyless / "store"
    tracker = WandbTracker(folder)
    tracker.begin(first.id, first.spec)
    assert not folder.exists()
    tracker(first)
    tracker.begin(given.id, given.spec)
    # W&B samples as soon as a run is open, and then every fifteen seconds.
    time.sleep(3)
    tracker(given)
    (seen,) = (each for each in offline_runs(folder) if each["run"].run_id == given.id)
    assert any("cpu" in key for key in seen["system"])
    assert seen["history"].items() >= metrics(given).items()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tensorboard", "csv", "mlflow"])
def test_other_loggers_keep_the_same_numbers(kind, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    given = record(notes={"loss_curve": CURVE})
    (tracker,) = make_trackers(kind, tmp_path, "suite")
    assert tracker.hint() is None
    tracker.begin(given.id, given.spec)
    tracker(given)
    assert str(tmp_path / kind) in tracker.hint()
    found = {"tensorboard": from_tensorboard, "csv": from_csv, "mlflow": from_mlflow}[kind](tmp_path / kind)
    assert found["train/loss"] == [(step, pytest.approx(loss)) for step, loss in CURVE]
    for name, value in metrics(given).items():
        assert found[name][-1][1] == pytest.approx(value, rel=1e-6), name


def from_tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (path,) = {path.parent for path in folder.rglob("events.*")}
    events = EventAccumulator(str(path)).Reload()
    return {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def from_csv(folder):
    (path,) = folder.rglob("metrics.csv")
    found = {}
    with path.open() as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and name != "step":
                    found.setdefault(name, []).append((int(row["step"]), float(value)))
    return found


def from_mlflow(folder):
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=folder.absolute().as_uri())
    (experiment,) = [one for one in client.search_experiments() if one.name == "faast-bench"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.tags["bench_id"] == record().id
    names = run.data.metrics
    return {name: [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, name)] for name in names}


def test_a_logger_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.runs.trackers.loggers.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="--logger mlflow needs the package mlflow; pip install mlflow"):
        make_trackers("mlflow", tmp_path)
    assert make_trackers("csv", tmp_path)
    assert make_trackers("none", tmp_path) == ()
    for name in ("csv", "none"):
        with pytest.raises(UsageError, match=f"log_predictions needs a tracker with tables, got {name}"):
            make_trackers(name, tmp_path, predictions=True)
    with pytest.raises(UsageError, match="no logger 'wand'; did you mean 'wandb'"):
        make_trackers("wand", tmp_path)


def test_a_server_that_is_away_costs_one_try_and_no_record(keyless, monkeypatch):
    import wandb

    tried = []
    begin = wandb.init

    def init(*args, settings, **options):
        tried.append(settings.mode)
        if settings.mode == "online":
            raise wandb.errors.CommError("the server is away")
        return begin(*args, settings=settings, **options)

    monkeypatch.setattr(wandb, "login", lambda **_: True)
    monkeypatch.setattr(wandb, "init", init)
    folder = keyless / "store"
    tracker = WandbTracker(folder)
    failed = record(
        status="failed", reason="planted", value=None, ci_low=None, ci_high=None, costs=None, identity={"seed": 1}
    )
    tracker(record())
    tracker(failed)
    assert tried == ["online", "offline", "offline"]
    by_id = {seen["run"].run_id: seen for seen in offline_runs(folder)}
    assert by_id.keys() == {record().id, failed.id}
    assert by_id[failed.id]["config"]["reason"] == "planted"
    assert "failed" in by_id[failed.id]["run"].tags
    assert by_id[record().id]["run"].run_group == row_name(record().spec)
    assert "wandb sync" in tracker.hint()


@pytest.mark.parametrize("answer", [False, ConnectionError("no network")])
def test_a_key_that_is_missing_or_refused_means_offline(keyless, monkeypatch, answer):
    import wandb

    def login(**_):
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(wandb, "login", login)
    assert WandbTracker(keyless).mode == "offline"


def test_the_users_own_mode_is_kept(keyless, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tracker = WandbTracker(keyless / "store")
    tracker(record())
    assert offline_runs(keyless / "store") == []
    assert tracker.hint() is None


def test_a_failure_offline_is_raised_for_the_runner_to_report(keyless, monkeypatch):
    import wandb

    def init(*args, **options):
        raise OSError("disk full")

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(OSError, match="disk full"):
        WandbTracker(keyless / "store")(record())


@pytest.mark.slow
def test_a_leaderboard_is_logged_with_its_table_plots_and_records(keyless):
    folder = keyless / "store"
    store = Store(folder)
    for number in range(3):
        store.write(record(identity={"seed": number}))
    store.write(made(spec={"task": "=HYPERLINK(1)"}))
    shown = rows(list(store))
    tracker = WandbTracker(folder)
    log_leaderboard(tracker, shown, "<!doctype html><p>the page</p>")
    (path,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    found = finished(path)
    logged, artifacts = {}, []
    for message in found:
        logged |= {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in message.history.item}
        if message.HasField("request") or message.HasField("artifact"):
            artifacts += [entry.path for entry in message.artifact.manifest.contents]
    assert logged["leaderboard/_type"] == "table-file"
    assert logged["leaderboard/nrows"] == len(shown)
    (table,) = (folder / "wandb").glob("offline-run-*/files/media/table/leaderboard_*.table.json")
    # W&B's page writes a table as CSV, where such a text would be computed.
    assert {row[0] for row in json.loads(table.read_text())["data"]} == {"'=HYPERLINK(1)", "t"}
    assert logged["page/_type"] == "html-file"
    charts = {name.removesuffix("_table/_type") for name in logged if " against " in name and name.endswith("/_type")}
    assert charts == {
        f"{task}, accuracy against {cost}"
        for task in (" HYPERLINK 1 ", "t")
        for cost in ("time_to_first_query", "peak_memory_mb")
    }
    assert {f"{one.id}.json" for one in store} <= set(artifacts)


def test_seeds_of_a_row_are_one_group_and_other_rows_others():
    spec = record().spec
    named = {
        (row_name(each), display_name(each))
        for each in (
            spec,
            spec.model_copy(update={"seed": 1}),
            spec.model_copy(update={"backbone": "c"}),
            spec.model_copy(update={"config": {"alpha": 0.2}}),
            spec.model_copy(update={"backbone": "x" * 200}),
            spec.model_copy(update={"backbone": "x" * 201}),
        )
    }
    assert (len({group for group, _ in named}), len(named)) == (5, 6)
    assert max(len(name) for _, name in named) < 128


@pytest.mark.slow
def test_predictions_are_a_table_where_they_are_wanted(keyless):
    kept = Store(keyless / "store").write(record(), answered())
    WandbTracker(keyless / "store", predictions=True)(kept)
    (seen,) = offline_runs(keyless / "store")
    assert seen["history"]["predictions/nrows"] == 6
    (table,) = (keyless / "store" / "wandb").glob("offline-run-*/files/media/table/predictions_*.table.json")
    content = json.loads(table.read_text())
    assert content["columns"] == ["episode", "query", "right"]
    assert content["data"][-1] == [1, 8, 0]


@pytest.fixture
def trackio_folder(tmp_path, monkeypatch):
    """Trackio with a folder of its own; it reads TRACKIO_DIR once, when it is imported."""
    pytest.importorskip("trackio")
    from trackio import sqlite_storage, utils

    for module in (utils, sqlite_storage):
        monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path / "trackio")
    for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_trackio_keeps_numbers_config_group_and_predictions_on_this_machine(trackio_folder, capsys):
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    given = Store(trackio_folder / "store").write(record(notes={"loss_curve": CURVE}), answered())
    failed = made({"seed": 3}, status="failed", reason="planted", value=None, episode_scores=[], costs=None)
    (tracker,) = make_trackers("trackio", trackio_folder / "store", "suite", predictions=True)
    assert tracker.hint() is None
    tracker(given)
    tracker(failed)
    assert tracker.hint() == "logged to trackio; to see it: trackio show --project faast-bench"
    assert capsys.readouterr().out == ""
    found = {run.config["bench_id"]: run for run in trackio.Api().runs("faast-bench")}
    assert found.keys() == {given.id, failed.id}
    run = found[given.id]
    assert run.name == display_name(given.spec)
    assert run.config["_Group"] == row_name(given.spec)
    assert run.config["suite"] == "suite"
    assert run.config["config"] == {"alpha": 0.1}
    assert found[failed.id].config["reason"] == "planted"
    logs = SQLiteStorage.get_logs("faast-bench", run=run.name, run_id=run.id)
    assert [[one["step"], one["train/loss"]] for one in logs if "train/loss" in one] == CURVE
    (numbers,) = [one for one in logs if "score/accuracy" in one]
    assert numbers.items() >= metrics(given).items()
    (table,) = [one["predictions"] for one in logs if "predictions" in one]
    assert table["_value"][-1] == {"episode": 1, "query": 8, "right": 0.0}
