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

from bench import registry
from bench.costs.doctor import Finding
from bench.plugin import Plugin
from tests.helpers import preloaded
from tests.helpers.command import one_line, shell, without_progress
from tests.helpers.records import record
from tests.helpers.tables import compact

COLUMNS = {
    "task", "backbone", "method", "shots", "episodes", "metric", "value", "ci_low", "ci_high", "adapt_seconds",
    "query_milliseconds", "encode_seconds", "peak_memory_mb", "state_mb", "trainable_params", "status", "reason",
}  # fmt: skip


@pytest.fixture
def clean(tmp_path, monkeypatch):
    """A folder to work in, without the settings of the person who runs the tests."""
    for name in ("BENCH_DATA", "BENCH_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bench(clean, in_process):
    """``bench ...`` in this process; answers exit code, output and standard error."""

    return in_process


def test_help_is_there_at_once():
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        answer = subprocess.run([sys.executable, "-m", "bench", "--help"], capture_output=True, text=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert answer.returncode == 0
        assert all(word in answer.stdout for word in ("list", "run", "leaderboard"))
    assert min(seconds) < 0.5


@pytest.mark.parametrize(
    "words", [["--help"], ["run", "--help"], ["claims"], ["list", "methods"], ["list", "tasks", "--json"]]
)
def test_nothing_heavy_is_imported_before_it_is_needed(words):
    code = (
        "import sys; from bench.cli.app import app\n"
        f"try:\n    app({words})\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'lightning', 'datasets', 'pandas', 'wandb'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("what", ["methods", "tasks", "backbones", "metrics", "suites", "claims"])
def test_list(bench, what):
    code, plain, err = bench("list", what)
    assert (code, err) == (0, "")
    code, text, err = bench("list", what, "--json")
    assert (code, err) == (0, "")
    entries = json.loads(text)
    assert [entry["name"] for entry in entries] == [line.split()[0] for line in plain.splitlines()]
    for entry, line in zip(entries, plain.splitlines(), strict=True):
        assert entry.keys() - {"sites", "kinds", "family"} == {"name", "summary", "origin"}
        assert ("sites" in entry) == ("family" in entry) == (what == "methods")
        assert ("kinds" in entry) == (what not in {"suites", "claims"})
        assert ", ".join(entry.get("sites", ())) in line
        assert entry["summary"]
        assert entry["summary"] in line
    expected = {
        "methods": "faast", "tasks": "digits", "backbones": "smollm2_135m", "metrics": "bleu", "suites": "quickstart",
        "claims": "faast/memory",
    }  # fmt: skip
    assert expected[what] in {entry["name"] for entry in entries}


def test_a_list_can_be_of_a_kind_of_task_or_a_family(bench):
    code, out, _ = bench("list", "methods", "--kind", "language_modelling", "--family", "closed_form")
    names = {line.split()[0] for line in out.splitlines()}
    assert code == 0
    assert {"faast", "ridge", "hebbian"} <= names
    assert names.isdisjoint({"knn_lm", "gda", "lora"})
    assert "iwslt2017:de-en" in bench("list", "tasks", "--kind", "text_generation")[1]
    for words, message in (
        (["methods", "--kind", "images"], "no kind of task 'images'; "),
        (["methods", "--family", "closed"], "no family of methods 'closed'; did you mean 'closed_form'?"),
        (["tasks", "--family", "memory"], "families are of methods, not of tasks"),
    ):
        code, _, err = bench("list", *words)
        assert (code, err.count("\n")) == (2, 1)
        assert message in err


def test_show_describes_a_plugin_of_any_kind(bench):
    def shown(name):
        code, out, err = bench("show", name)
        assert (code, err) == (0, ""), err
        return " ".join(out.split())

    faast = shown("faast")
    for part in (
        "faast: method", "family closed_form: sums", "sites features, hidden_states", "paper Bao et al.",
        "kinds at features image_classification, text_classification",
        "alpha=0.8 (number at least 0 and at most 4, or auto; search 0.1 to 2)",
    ):  # fmt: skip
        assert part in faast
    assert "CC BY 4.0" in shown("digits")
    assert "iwslt2017:de-en: German to English" in shown("iwslt2017:de-en")
    assert "135 million parameters, Apache-2.0" in shown("smollm2_135m")
    assert "range 0 to 100" in shown("accuracy")
    (entry,) = json.loads(bench("show", "knn", "--json")[1])
    assert entry["facts"]["family"].startswith("memory: ")
    code, _, err = bench("show", "fasst")
    assert (code, err) == (2, "bench: no method, task, backbone or metric 'fasst'; did you mean 'faast'?\n")


def test_a_broken_package_hides_no_other_plugin(bench, monkeypatch):
    found = {
        **registry.find("methods"),
        "gone": Plugin("gone", "not_installed.here", "PLUGIN", "some-package"),
    }
    monkeypatch.setattr(registry, "find", lambda group: found)
    code, out, _ = bench("list", "methods")
    assert code == 0
    assert "faast" in out
    assert "cannot be used: plugin 'gone' of some-package names a module that is not installed" in out


DIGITS = ["run", "--task", "digits", "--logger", "none"]
FAAST = [*DIGITS, "--method", "faast"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "quickstrt"], "no suite 'quickstrt'; did you mean 'quickstart'?"),
        ([*FAAST, "--method", "faast,knnn"], "no method 'knnn'; did you mean 'knn'?"),
        ([*FAAST, "--preset", "publishd"], "no preset 'publishd'; did you mean 'published'?"),
        ([*FAAST, "--budget", "second=1"], "the budget on digits has no axis 'second'"),
        (["run", "missing.yaml"], "no such suite file: missing.yaml"),
        (["run"], "needs a suite, or a task and a method"),
        (["run", "quickstart", "--task", "digits"], "suite quickstart already describes the runs; leave out task, or"),
        (
            ["run", "quickstart", "--shots", "3", "--set", "a.b=1"],
            "suite quickstart already describes the runs; leave out shots, set, or",
        ),
        (["run", "--task", "digitz", "--method", "knn"], "no task 'digitz'; did you mean 'digits'?"),
        ([*DIGITS, "--method", "fast"], "no method 'fast'; did you mean 'faast'?"),
        ([*FAAST, "--backbone", "efficientnet"], "no backbone 'efficientnet'; did you mean 'efficientnet_lite0'?"),
        ([*FAAST, "--backbone", "efficientnet_lite0:x"], "backbone efficientnet_lite0 needs no argument"),
        (
            [*FAAST, "--backbone", "smollm2_135m"],
            "smollm2_135m reads language_modelling, text_classification, text_generation; digits is image_class",
        ),
        ([*FAAST, "--set", "faast.alfa=1"], "method faast has no field 'alfa'; did you mean 'alpha'?"),
        ([*FAAST, "--set", "knn.k=1"], "no method 'knn' in this block; known: faast"),
        (
            [*FAAST, "--set", "faast.alpha=-1"],
            "faast: alpha: Input should be greater than or equal to 0.*got -1",
        ),
        ([*FAAST, "--set", "faast.alpha=high"], "faast: alpha: Input should be a valid number.*got 'high'"),
        ([*FAAST, "--set", "faast.solver=magic"], "faast: solver: Input should be .*'pinv'.*, got 'magic'"),
        ([*FAAST, "--set", "faast.alpha"], "run: set: needs METHOD.FIELD=VALUE"),
        ([*FAAST, "--set", "faast=1"], "run: set: needs METHOD.FIELD=VALUE"),
        ([*FAAST, "--set", "faast.alpha=[1"], "run: set: faast.alpha needs a value in YAML, got '.1'"),
        ([*FAAST, "--shots", "0"], "run: shots: needs positive numbers or 'full'.*got \\['0'\\]"),
        ([*FAAST, "--shots", "1,,5"], "run: shots: needs positive numbers"),
        ([*FAAST, "--shots", "²"], "run: shots: needs positive numbers"),
        ([*FAAST, "--seeds", "x"], "run: seeds: needs numbers or ranges, such as 0-4 or 0,2,7, got \\['x'\\]"),
        ([*FAAST, "--seeds", "4-0"], "run: seeds: needs numbers or ranges"),
        ([*FAAST, "--episodes", "0"], "episodes: Input should be greater than or equal to 1, got 0"),
        ([*FAAST, "--queries", "0"], "queries: Input should be greater than or equal to 1.*'all', got '0'"),
        ([*FAAST, "--queries", "some"], "queries: Input should be a valid integer.* or .*'all', got 'some'"),
        ([*FAAST, "--ways", "1"], "ways: Input should be greater than or equal to 2, got 1"),
        ([*FAAST, "--ways", "11"], "digits has 10 classes; --ways must lie in 2..10, got 11"),
        ([*FAAST, "--shots", "900"], "class '0' has 89 support items, 900 required; use --shots 89 or fewer"),
        ([*FAAST, "--accelerator", "abacus"], "--accelerator abacus .* cannot be used here: .*cpu"),
        ([*FAAST, "--devices", "0"], "a run uses one device, got --devices 0"),
        (
            [*FAAST, "--devices", "2"],
            "a run uses one device, got --devices 2; .*--strategy fsdp, deepspeed or device_map",
        ),
        ([*FAAST, "--devices", "2", "--strategy", "fsdp", "--jobs", "2"], "--strategy fsdp .* without several jobs"),
        ([*FAAST, "--precision", "half"], "run: precision: .*32-true.*got .half."),
        ([*FAAST, "--data", "nowhere"], "--data needs a folder, got nowhere"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(bench, words, message):
    line = one_line(bench(*words), 2)
    assert re.search(message, line), line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nblocks:\n  - {task: digits, methods: [faast], shot: [1]}", "'blocks.0.shot'; did you mean 'shots'"),
        ("name: x\nblock: []", "has no field 'block'; did you mean 'blocks'"),
        ("name: x\nblocks:\n  - {task: digits, metods: [faast]}", "no field 'blocks.0.metods'; did you mean 'methods'"),
        ("name: x\nblocks: []", "blocks: List should have at least 1 item"),
        ("name: x\nblocks:\n  - {task: digits}", "needs the field 'blocks.0.methods', which is missing"),
        ("name: x\nblocks:\n  - {task: digits, methods: 5}", "blocks.0.methods: .*valid string, got 5"),
        ("name: x\nblocks:\n  - {task: digits, methods: [faast], shots: [0]}", "blocks.0.shots: .*'full'.*, got .0.$"),
        (
            "name: x\nblocks:\n  - {task: digits, methods: [faast], seeds: [a]}",
            "blocks.0.seeds: needs numbers or ranges.*, got .'a'.$",
        ),
        ("name: x\nblocks:\n  - {task: digits, methods: [faast], set: {knn: {k: 1}}}", "no method 'knn' in this block"),
        (
            "name: x\nblocks:\n  - {task: digits, methods: [faast], set: {faast: {a: 1}}}",
            "faast has no field 'a'",
        ),
        ("name: x\nblocks:\n  - {task: digts, methods: [faast]}", "no task 'digts'; did you mean 'digits'"),
        ("name: [x\nblocks", "is not valid YAML"),
        ("- 1\n- 2", "needs a mapping with 'name' and 'blocks', got list"),
        ("", "needs a mapping with 'name' and 'blocks', got NoneType"),
        (b"\xff\xfe\x00", "is not valid YAML"),
    ],
)
def test_a_wrong_suite_is_one_line_and_exit_code_2(bench, clean, text, message):
    (clean / "mine.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    line = one_line(bench("run", "mine.yaml", "--logger", "none"), 2)
    assert re.search(message, line), line


def test_an_unreachable_hub_is_one_line_that_names_the_local_option(bench, clean, monkeypatch):
    # A port where nobody listens, and an empty cache of downloads.
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(clean / "hub"))
    line = one_line(bench("run", "--task", "cifar10", "--method", "faast", "--logger", "none"), 1)
    assert "--data DIR or BENCH_DATA" in line
    assert "cifar10/train.parquet" in line


@pytest.mark.parametrize("store", ["nowhere", "empty"])
def test_a_store_without_records_is_a_failure(bench, clean, store):
    (clean / "empty").mkdir()
    assert "no records in" in one_line(bench("leaderboard", "--store", store), 1)


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


STRIPES = ["run", "--measure-in", "inline", "--task", "stripes", "--backbone", "pixels", "--method", "faast"]


@pytest.fixture(scope="module")
def store(outside_site, tmp_path_factory):
    """What an outside package's plugins leave behind when they go through the real command, W&B and all."""
    home = tmp_path_factory.mktemp("home")
    words = [*STRIPES, "--method", "nearest_prototype", "--shots", "1,5", "--seeds", "0-1", "--store", home / "store"]
    answer = shell(*words, PYTHONPATH=str(outside_site), BENCH_CACHE=str(home / "cache"), WANDB_MODE="offline")
    assert answer.returncode == 0, answer.stderr
    assert "nearest_prototype" in answer.stdout
    # No bars, warnings or W&B's own words where nobody watches a terminal.
    (hint,) = without_progress(answer.stderr)
    assert hint.startswith("W&B runs were kept offline; to send them: wandb sync ")
    return home / "store"


@pytest.mark.slow
def test_an_outside_package_runs_like_this_projects_own(store, bench, outside):
    assert len(list(store.glob("*.json"))) == 2 * 2 * 2
    assert len(list((store / "wandb").glob("offline-run-*/*.wandb"))) == 2 * 2 * 2
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
        assert (row["status"], row["reason"], row["episodes"]) == ("ok", "", 2 * 6)
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


def test_a_tracker_that_cannot_even_start_is_no_reason_to_fail(bench, outside, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "no such mode")
    code, out, err = bench(*STRIPES, "--shots", "1", "--episodes", "1")
    assert code == 0
    assert "tracking failed, the record is kept" in err
    assert "Traceback" not in err
    assert re.search(r"stripes .* faast .* ok", out)


def test_a_failed_run_is_exit_code_1_with_its_reason_and_costs_no_other(bench, outside, clean):
    answer = bench(*STRIPES, "--method", "faulty", "--shots", "1", "--episodes", "1", "--logger", "none")
    assert "stripes faulty shots=1 seed=0 failed: RuntimeError: planted defect" in one_line(answer, 1)
    assert "failed: stripes faulty: RuntimeError: planted defect" in answer[1]
    statuses = sorted(json.loads(path.read_text())["status"] for path in (clean / "runs").glob("*.json"))
    assert statuses == ["failed", "ok"]


def test_a_dry_run_prints_the_runs_and_makes_none(bench, outside, clean):
    code, out, err = bench(*STRIPES, "--method", "knn,knn_lm", "--shots", "1,5", "--dry-run")
    assert (code, err) == (0, "")
    assert "6 runs: 2 skipped, 4 to run" in out
    assert re.search(r"stripes +pixels +knn_lm +1 +0 +skipped +knn_lm serves", out)
    assert not (clean / "runs").exists()


def test_nothing_measured_is_exit_code_1(bench, outside):
    answer = bench("run", "--task", "stripes", "--backbone", "pixels", "--method", "knn_lm", "--logger", "none")
    assert "nothing was measured" in one_line(answer, 1)
    assert "skipped: stripes knn_lm: knn_lm serves" in answer[1]


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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--budget", "adapt_seconds=0"], "adapt_seconds needs a number above 0"),
        (["--budget", "adapt_seconds=-2"], "adapt_seconds needs a number above 0"),
        (["--budget", "state_mb=9", "--budget", "peak_memory_mb=1"], "contradicts"),
        (["--budget", "steps=9", "--match", "faast:steps"], "a budget and a match may not both limit steps"),
        (["--budget", "steps=9", "--budget-grid", "steps=1,2"], "steps cannot have both a budget and a grid"),
        (["--match", "fast"], "did you mean"),
        (["--match", "zero_shot"], "it uses no support set"),
        (["--budget", "peak_memory_mb=0.001"], "is below what pixels itself costs"),
    ],
)
def test_a_budget_that_cannot_be_is_refused_before_anything_runs(words, message, bench, outside, clean):
    assert message in one_line(bench(*STRIPES, "--shots", "1", "--episodes", "1", "--logger", "none", *words), 2)
    assert not list((clean / "runs").glob("*.json"))


@pytest.mark.parametrize(("measured", "code", "word"), [(1.05, 0, "ok"), (2.0, 1, "wrong")])
def test_the_doctor_fails_on_a_meter_that_is_off(bench, clean, monkeypatch, measured, code, word):
    # The meters themselves are tested in tests/costs/test_doctor.py.
    found = Finding("a clock", 1.0, measured, "s", 0.1)
    monkeypatch.setattr("bench.costs.doctor.findings", lambda options: [found])
    ended, out, err = bench("doctor", "--accelerator", "cpu")
    assert (ended, err) == (code, "")
    (line,) = [line for line in out.splitlines() if "a clock" in line]
    assert line == f"{word:<6} a clock: expected 1 s, measured {measured:.4g}, tolerance 10%"
