"""The command as a user types it: what it prints, where, how fast, and with which exit code."""

import csv
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time

import psutil
import pytest

from bench.costs.doctor import Finding
from tests.helpers import preloaded
from tests.helpers.command import STRIPES, one_line, shell, without_progress
from tests.helpers.records import record
from tests.helpers.tables import compact

COLUMNS = {
    "task", "backbone", "method", "shots", "episodes", "metric", "value", "ci_low", "ci_high", "adapt_seconds",
    "query_milliseconds", "encode_seconds", "peak_memory_mb", "state_mb", "trainable_params", "status", "reason",
}  # fmt: skip


@pytest.mark.slow
def test_help_is_there_at_once():
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        answer = subprocess.run([sys.executable, "-m", "bench", "--help"], capture_output=True, text=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert answer.returncode == 0
        assert all(word in answer.stdout for word in ("list", "run", "leaderboard"))
    assert min(seconds) < 0.3


def filled(clean):
    from bench.results.store import Store

    store = Store(clean / "store")
    store.write(record())
    return store


def test_a_damaged_record_is_a_failure_that_names_the_file(bench, clean):
    path = filled(clean).path(record().id)
    path.write_text(path.read_text()[:-20])
    line = one_line(bench("leaderboard", "--store", "store"), 1)
    assert str(path.name) in line
    assert "delete it" in line


def test_a_leaderboard_that_cannot_be_written_is_a_failure(bench, clean):
    filled(clean)
    assert "--out no/file.md cannot be written" in one_line(
        bench("leaderboard", "--store", "store", "--out", "no/file.md"), 1
    )
    assert bench("leaderboard", "--store", "store", "--out", "file.md", "--format", "markdown")[:2] == (0, "")
    assert "| t | m [alpha=0.1] | 5 | 66.7 [" in compact((clean / "file.md").read_text())


def test_a_leaderboard_of_one_task(bench, clean):
    filled(clean)
    code, out, _ = bench("leaderboard", "--store", "store", "--task", "t", "--format", "json")
    assert (code, len(json.loads(out))) == (0, 1)
    line = one_line(bench("leaderboard", "--store", "store", "--task", "tt"), 2)
    assert "no task 'tt' in the store; did you mean 't'?" in line


@pytest.fixture(scope="module")
def store(outside_site, tmp_path_factory):
    """What an outside package's plugins leave behind when they go through the real command, W&B and all."""
    home = tmp_path_factory.mktemp("home")
    words = [*STRIPES, "--method", "nearest_prototype", "--shots", "1,5", "--seeds", "0", "--store", home / "store"]
    answer = shell(*words, PYTHONPATH=str(outside_site), BENCH_CACHE=str(home / "cache"), WANDB_MODE="offline")
    assert answer.returncode == 0, answer.stderr
    assert "nearest_prototype" in answer.stdout
    # No bars, warnings or W&B's own words where nobody watches a terminal.
    (hint,) = without_progress(answer.stderr)
    assert hint.startswith("W&B runs were kept offline; to send them: wandb sync ")
    return home / "store"


@pytest.mark.slow
def test_an_outside_package_runs_like_this_projects_own(store, bench, outside):
    assert len(list(store.glob("*.json"))) == 2 * 2
    assert len(list((store / "wandb").glob("offline-run-*/*.wandb"))) == 2 * 2
    origins = {entry["name"]: entry["origin"] for entry in json.loads(bench("list", "methods", "--json")[1])}
    assert origins["nearest_prototype"] == "bench-outside"
    assert origins["faast"] == "bench"


@pytest.mark.slow
def test_the_leaderboard_in_four_formats(store, bench):
    texts = {}
    for name in ("table", "markdown", "csv", "json"):
        code, texts[name], err = bench("leaderboard", "--format", name, "--store", store)
        assert (code, err) == (0, "")
    rows = json.loads(texts["json"])
    assert {(row["method"], row["shots"]) for row in rows} == {
        (method, shots) for method in ("nearest_prototype", "faast") for shots in (1, 5)
    }
    for row in rows:
        assert row.keys() >= COLUMNS
        assert (row["task"], row["backbone"], row["metric"]) == ("stripes", "pixels", "accuracy")
        assert (row["status"], row["reason"], row["episodes"]) == ("ok", "", 6)
        assert 0 < row["value"] <= 100
        assert all(row[cost] >= 0 for cost in ("encode_seconds", "adapt_seconds", "peak_memory_mb", "ci_low"))
    parsed = list(csv.DictReader(io.StringIO(texts["csv"])))
    assert [row["method"] for row in parsed] == [row["method"] for row in rows]
    assert [float(row["value"]) for row in parsed] == [row["value"] for row in rows]
    assert parsed[0].keys() == rows[0].keys()
    lines = [line for line in compact(texts["markdown"]).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(rows)
    for row, line in zip(rows, lines[2:], strict=True):
        assert line.startswith(f"| stripes | {row['method']} | {row['shots']} | {row['value']:.1f} [")
        assert line.endswith("| ok |")
        assert f"{row['value']:.1f} [{row['ci_low']:.1f}, {row['ci_high']:.1f}]" in texts["table"]
    assert texts["table"].count("stripes") == len(rows)


@pytest.mark.slow
def test_a_tracker_that_cannot_even_start_is_no_reason_to_fail(bench, outside, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "no such mode")
    code, out, err = bench(*STRIPES, "--shots", "1", "--episodes", "1")
    assert code == 0
    assert "tracking failed, the record is kept" in err
    assert "Traceback" not in err
    assert re.search(r"stripes .* faast .* ok", out)


@pytest.mark.slow
def test_a_failed_run_is_exit_code_1_with_its_reason_and_costs_no_other(bench, outside, clean):
    answer = bench(*STRIPES, "--method", "faulty", "--shots", "1", "--episodes", "1", "--logger", "none")
    assert "stripes faulty shots=1 seed=0 failed: RuntimeError: planted defect" in one_line(answer, 1)
    assert "failed: stripes faulty: RuntimeError: planted defect" in answer[1]
    statuses = sorted(json.loads(path.read_text())["status"] for path in (clean / "runs").glob("*.json"))
    assert statuses == ["failed", "ok"]


@pytest.mark.slow
def test_a_dry_run_prints_the_runs_and_makes_none(bench, outside, clean):
    code, out, err = bench(*STRIPES, "--method", "knn,knn_lm", "--shots", "1,5", "--dry-run")
    assert (code, err) == (0, "")
    assert "6 runs: 2 skipped, 4 to run" in out
    assert re.search(r"stripes +pixels +knn_lm +1 +0 +skipped +knn_lm serves", out)
    assert not (clean / "runs").exists()


@pytest.mark.slow
def test_nothing_measured_is_exit_code_1(bench, outside):
    answer = bench("run", "--task", "stripes", "--backbone", "pixels", "--method", "knn_lm", "--logger", "none")
    assert "nothing was measured" in one_line(answer, 1)
    assert "skipped: stripes knn_lm: knn_lm serves" in answer[1]


@pytest.mark.slow
def test_a_task_that_cannot_be_loaded_costs_no_other(bench, outside, clean):
    (clean / "data").mkdir()
    (clean / "two.yaml").write_text(
        "name: two\nblocks:\n  - {task: cifar10, methods: [knn]}\n"
        "  - {task: stripes, backbone: pixels, methods: [knn], shots: [1], episodes: 1}\n"
    )
    answer = bench("run", "two.yaml", "--measure-in", "inline", "--logger", "none", "--data", "data")
    line = one_line(answer, 1)
    assert "cifar10 needs" in line
    assert "data/cifar10/train.parquet" in line
    assert "knn" in answer[1]
    assert len(list((clean / "runs").glob("*.json"))) == 1


@pytest.mark.slow
def test_a_damaged_record_costs_its_own_run_only(bench, outside, clean):
    words = [*STRIPES, "--method", "knn", "--shots", "1", "--episodes", "1", "--logger", "none"]
    assert bench(*words)[0] == 0
    path = next(path for path in (clean / "runs").glob("*.json") if '"method": "faast"' in path.read_text())
    path.write_text("{")
    answer = bench(*words, "--method", "zero_shot")
    line = one_line(answer, 1)
    assert path.name in line
    assert "delete it to run again" in line
    assert "zero_shot" in answer[1]
    assert "knn" in answer[1]
    path.unlink()
    assert bench(*words)[0] == 0


def interrupted(clean, outside_site, number):
    """A run of a method that takes a minute, ended by a signal once its first record is there."""
    words = [
        "run", "--task", "stripes", "--backbone", "pixels", "--method", "faast", "--method", "lying", "--shots", "1",
    ]  # fmt: skip
    words += ["--set", "lying.seconds=60", "--episodes", "1", "--logger", "none"]
    environment = {**os.environ, "PYTHONPATH": str(outside_site)}
    process = preloaded.Program("bench", *words, env=environment)
    deadline = time.monotonic() + 200
    while not list((clean / "runs").glob("*.json")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    time.sleep(1.0)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    process.send_signal(number)
    ended = process.wait(60)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    return ended.returncode, ended.stderr


@pytest.mark.slow
def test_a_run_that_is_ended_is_recorded_and_goes_on(bench, outside, clean, outside_site):
    # Another signal, in one process: tests/engine/test_worker.py.
    code, err = interrupted(clean, outside_site, signal.SIGINT)
    assert code == 128 + signal.SIGINT, err
    assert "bench: ended by SIGINT; finished runs are recorded, the same command continues" in err
    records = {
        one["spec"]["method"]: one for one in (json.loads(path.read_text()) for path in clean.glob("runs/*.json"))
    }
    assert records["faast"]["status"] == "ok"
    assert records["faast"]["costs"]["process"] == "fresh"
    assert records["lying"]["status"] == "failed"
    assert re.match(r"interrupted while its costs were measured, after \d+\.\d s", records["lying"]["reason"])
    assert records["lying"]["notes"]["partial_seconds"] >= 0.5
    # Run again, it is made: the one that was finished stays as it was.
    words = ["--method", "lying", "--set", "lying.seconds=0", "--shots", "1", "--episodes", "1", "--logger", "none"]
    assert bench(*STRIPES, *words)[0] == 0


@pytest.mark.parametrize(("measured", "code", "word"), [(1.05, 0, "ok"), (2.0, 1, "wrong")])
def test_the_doctor_fails_on_a_meter_that_is_off(bench, clean, monkeypatch, measured, code, word):
    # The meters themselves are tested in tests/costs/test_doctor.py.
    found = Finding("a clock", 1.0, measured, "s", 0.1)
    monkeypatch.setattr("bench.costs.doctor.findings", lambda options: [found])
    ended, out, err = bench("doctor", "--accelerator", "cpu")
    assert (ended, err) == (code, "")
    (line,) = [line for line in out.splitlines() if "a clock" in line]
    assert line == f"{word:<6} a clock: expected 1 s, measured {measured:.4g}, tolerance 10%"
