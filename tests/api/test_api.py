"""The Python API: what it runs, what it makes of records, and what it says of wrong arguments."""

import ast
import inspect
import json
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import bench
from bench.cli import run as command
from bench.contracts import UsageError
from bench.spec.options import RunOptions, read_suite
from bench.testing.tiny_models import save_model
from tests.helpers.places import ROOT

SMALL = {
    "task": "stripes", "backbone": "pixels", "episodes": 2, "measure_in": "inline", "logger": "none", "progress": False
}  # fmt: skip
WRONG_NAMES = """
import json, resource, sys
import bench
for arguments in json.load(sys.stdin):
    try:
        bench.run(**arguments)
    except Exception as error:
        print(error)
print(sorted({"torch", "transformers", "lightning", "datasets", "pandas", "numpy"} & set(sys.modules)))
usage = resource.getrusage(resource.RUSAGE_SELF)
print(usage.ru_utime + usage.ru_stime)
"""


@pytest.fixture
def place(tmp_path, outside, cache, monkeypatch):
    """A folder to work in, with the outside package's plugins."""
    for name in ("BENCH_DATA", "BENCH_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, bench; bench.run; bench.load; heavy = {'torch', 'transformers', 'lightning', 'datasets', 'pandas',"
        " 'numpy', 'wandb'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.slow
def test_wrong_names_are_answered_before_anything_heavy_is_imported():
    cases = [
        ({"task": "digitz", "method": "knn"}, "no task 'digitz'; did you mean 'digits'?"),
        ({"task": "iwslt2017:de-fr", "method": "faast"}, "task iwslt2017 has no variant 'de-fr'; did you mean "),
        ({"task": "digits", "methods": ["faast", "knnn"]}, "no method 'knnn'; did you mean 'knn'?"),
        ({"task": "digits", "method": "knn", "backbone": "efficientnet"}, "did you mean 'efficientnet_lite0'?"),
        ({"task": "digits", "method": "knn", "preset": "publishd"}, "did you mean 'published'?"),
        ({"task": "digits", "method": "knn", "set": {"kn": {"k": 1}}}, "no method 'kn' in this block"),
        ({"task": "digits", "method": "knn", "set": {"knn": {"kk": 1}}}, "knn has no field 'kk'; did you mean 'k'?"),
        ({"task": "digits", "method": "ridge_lm", "set": {"ridge_lm": {"x": 1}}}, "ridge has no field 'x'; known: "),
        ({"task": "digits", "method": "faast", "set": {"faast": {"site": "hidden"}}}, "needs one of the sites "),
        ({"suite": "quickstrt"}, "no suite 'quickstrt'; did you mean 'quickstart'?"),
        ({"task": "digits", "method": "knn", "logger": "wandbb"}, "did you mean 'wandb'?"),
    ]
    answer = subprocess.run(
        [sys.executable, "-c", WRONG_NAMES], input=json.dumps([arguments for arguments, _ in cases]),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    *said, heavy, seconds = answer.stdout.splitlines()
    for line, (_, message) in zip(said, cases, strict=True):
        assert message in line
    assert heavy == "[]"
    assert float(seconds) < 2


FUNCTIONS = (
    bench.run, bench.plan, bench.sweep, bench.load, bench.compare, bench.check, bench.available, bench.doctor,
    bench.verify_records, bench.prune_records, bench.export_records, bench.errors, bench.show, bench.claims,
)  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS)
def test_help_has_types_and_describes_every_parameter(function):
    text = pydoc.render_doc(function, renderer=pydoc.plaintext)
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    for section in ("Args:", "Returns:", "Raises:", "Example:"):
        assert section in text
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty
        # A plan takes the arguments of a run, which describes them.
        assert function is bench.plan or f"        {parameter.name}: " in text


@pytest.mark.parametrize("function", [bench.run, bench.plan, bench.sweep])
def test_help_has_a_line_for_each_of_many_parameters(function):
    text = pydoc.render_doc(function, renderer=pydoc.plaintext)
    start = text.index(f"{function.__name__}(\n")
    lines = text[start : text.index("\n) ->", start)].splitlines()[1:]
    names = [line.strip().partition(":")[0].rstrip(",") for line in lines]
    assert [name for name in names if name != "*"] == list(inspect.signature(function).parameters)
    assert max(map(len, lines)) <= 120
    assert "collections.abc" not in text[: text.index("\n) ->", start)]


def test_every_public_name_is_in_the_documentation():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert [name for name in bench.__all__ if f"::: bench.api.{name}\n" not in page] == []


@pytest.mark.parametrize(
    "command", ["list", "records", "doctor", "run", "sweep", "check", "claims", "compare", "errors", "show"]
)
def test_a_command_reaches_the_harness_by_the_api(command):
    tree = ast.parse((ROOT / "bench" / "cli" / f"{command}.py").read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    below = ("bench.costs", "bench.data", "bench.engine", "bench.results", "bench.registry", "bench.runs")
    assert [module for module in modules if module.startswith(below)] == []


@pytest.mark.slow
def test_names_that_are_available():
    names = {what: [entry.name for entry in bench.available(what)] for what in ("methods", "tasks", "suites")}
    assert names["methods"] == sorted(names["methods"])
    assert {"faast", "iwslt2017:de-en", "quickstart"} <= {name for found in names.values() for name in found}
    (faast,) = [entry for entry in bench.available("methods") if entry.name == "faast"]
    assert faast.sites == ("features", "hidden_states")
    assert faast.origin == "bench"
    with pytest.raises(UsageError, match="no kind of name 'method'; did you mean 'methods'"):
        bench.available("method")


@pytest.mark.slow
def test_a_store_is_maintained(place):
    bench.run(**SMALL, methods=["faast", "knn"], shots=1)
    assert bench.verify_records() == []
    assert bench.export_records("runs.csv") == 2
    assert bench.export_records("queries.parquet", queries=True) > 2
    (record, _) = sorted(path for path in (place / "runs").glob("*.json"))
    record.unlink()
    (file,) = bench.prune_records(dry_run=True)
    assert file.reason == "no record names it"
    assert file.path.exists()
    assert bench.prune_records() == [file]
    assert not file.path.exists()
    with pytest.raises(UsageError, match=r"needs a name that ends in \.parquet or \.csv, got runs.txt"):
        bench.export_records("runs.txt")


def test_a_plan_takes_what_a_run_takes():
    assert inspect.signature(bench.plan).parameters == inspect.signature(bench.run).parameters


def test_the_command_has_the_options_of_the_function():
    options = {name.rstrip("_") for name in inspect.signature(command.run).parameters} - {"dry_run"}
    assert options == set(inspect.signature(bench.run).parameters) - {"methods", "progress"}
    assert set(RunOptions.model_fields) - {"tuning"} <= set(inspect.signature(bench.run).parameters)


def test_texts_and_lists_mean_the_same():
    texts = read_suite(
        None,
        {
            "task": "digits,banking77", "method": ["faast,knn", "ridge"], "shots": "1,5,full", "seeds": ["0-2", "7"],
            "set": ["faast.alpha=1.0,faast.solver=pinv", "knn.k=3"], "budget": "adapt_seconds=2,state_mb=10",
            "budget_grid": ["steps=1,2"],
        },
    )  # fmt: skip
    values = read_suite(
        None,
        {
            "task": ["digits", "banking77"], "methods": ["faast", "knn", "ridge"], "shots": [1, 5, "full"],
            "seeds": [*range(3), 7], "set": {"faast": {"alpha": 1.0, "solver": "pinv"}, "knn": {"k": 3}},
            "budget": {"adapt_seconds": 2, "state_mb": 10}, "budget_grid": {"steps": [1, 2]},
        },
    )  # fmt: skip
    assert texts == values
    assert [block.task for block in texts.blocks] == ["digits", "banking77"]


def test_a_suite_may_name_its_method_as_a_record_does(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nblocks:\n  - {task: digits, method: faast, shots: '1,full', seeds: 0-1}\n")
    (block,) = read_suite(path, {}).blocks
    assert (block.methods, block.shots, block.seeds) == (["faast"], [1, "full"], [0, 1])
    path.write_text("name: mine\nblocks:\n  - {task: digits, method: faast, methods: knn}\n")
    with pytest.raises(UsageError, match="method and methods are two names of one field"):
        read_suite(path, {})


@pytest.mark.slow
def test_a_run_and_what_reports_make_of_it(place):
    results = bench.run(methods=["faast", "knn"], shots=[1, 5], seeds=range(3), **SMALL)
    assert (len(results), len(results.measured), results.failed, results.problems) == (12, 12, [], ())
    assert {record.spec.seed for record in results} == {0, 1, 2}
    frame = results.frame()
    assert list(frame["method"]) == [row.method for row in results.rows()]
    assert set(frame["seeds"]) == {3}
    assert frame.loc[frame["method"] == "knn", "value"].between(0, 100).all()
    comparison = results.compare("faast", "knn", shots=5)
    assert [one.shots for one in comparison] == [5]
    assert "6 episodes, exact swaps" in comparison.table()
    assert "<td>stripes</td>" in comparison._repr_html_()
    assert "<td>knn</td>" in results._repr_html_()
    assert results.page(place / "board.html").read_text().startswith("<!doctype html>")
    assert json.loads(results.table("json"))[0]["task"] == "stripes"
    assert len(bench.load("runs")) == 12
    assert str(bench.compare("faast", "knn", task="stripes", shots="5")) == str(comparison)
    assert bench.check("runs", "runs").regressions == []
    with pytest.raises(UsageError, match="no format 'pdf'"):
        results.table("pdf")
    with pytest.raises(UsageError, match="no task 'stripe' in the store; did you mean 'stripes'"):
        results.of_task("stripe")


@pytest.mark.slow
def test_a_run_that_two_blocks_of_a_suite_have_counts_once(place):
    block = "{task: stripes, backbone: pixels, shots: [5], episodes: 2, methods: [faast, %s]}"
    blocks = "\n".join(f"  - {block % other}" for other in ("knn", "ridge"))
    Path("mine.yaml").write_text(f"name: mine\nblocks:\n{blocks}\n")
    how = {"suite": "mine.yaml", "measure_in": "inline", "logger": "none", "progress": False}
    assert len(bench.plan(suite="mine.yaml")) == 3
    results = bench.run(**how)
    assert [record.spec.method for record in results].count("faast") == 1
    read = bench.load("runs")
    # Counted twice, the interval would be that of four episodes.
    assert [(row.method, row.ci_low, row.ci_high) for row in results.rows()] == [
        (row.method, row.ci_low, row.ci_high) for row in read.rows()
    ]
    assert len(bench.run(**how)) == 3


@pytest.mark.slow
def test_a_plan_says_what_is_recorded_to_run_and_skipped(place):
    bench.run(method="knn", shots=1, **SMALL)
    before = sorted(place.rglob("*"))
    planned = bench.plan(methods="knn,faast,knn_lm", shots=1, **SMALL)
    assert {entry.spec.method: entry.status for entry in planned} == {
        "knn": "recorded", "faast": "to run", "knn_lm": "skipped"
    }  # fmt: skip
    (skipped,) = (entry for entry in planned if entry.status == "skipped")
    assert "knn_lm serves" in skipped.reason
    assert planned.summary() == "3 runs: 1 recorded, 1 skipped, 1 to run"
    assert "to run" in str(planned)
    assert "<td>to run</td>" in planned._repr_html_()
    assert sorted(place.rglob("*")) == before
    assert {entry.status for entry in bench.plan(method="knn", shots=1, force=True, **SMALL)} == {"to run"}
    # Another seed costs what the recorded one did.
    (costs,) = (record.costs for record in bench.load("runs").records)
    seeds = bench.plan(method="knn", shots=1, **SMALL | {"seeds": [0, 1]})
    expected = seeds[1].expected_seconds
    assert expected == pytest.approx(SMALL["episodes"] * (costs.adapt.seconds + costs.query.seconds))
    assert seeds.summary() == (
        f"2 runs: 1 recorded, 1 to run; 1 of those to run take {expected:.3g} s by recorded costs, "
        "starts and encoding not counted"
    )


@pytest.mark.slow
def test_a_plan_says_that_runs_are_tuned_first(place):
    planned = bench.plan(methods="knn,zero_shot", shots=[1, 5], tune_all=3, **SMALL)
    assert planned.summary() == (
        "3 runs: 3 to run; 2 are tuned first: trials are not counted, and status is that of the untuned run"
    )
    assert planned.summary() in str(planned)
    assert planned.summary() in planned._repr_html_()


@pytest.mark.slow
def test_a_plan_skips_methods_on_features_where_a_model_has_no_class_embeddings(place):
    model = save_model(place / "model", "gpt2", context=64)
    for label in ("good bad", "bad good"):
        (place / "data" / label).mkdir(parents=True)
        for number in range(4):
            (place / "data" / label / f"{number}.txt").write_text(f"{label} {number}")
    call = {
        "task": "text_folder", "backbone": f"hf:{model}", "data": place / "data", "shots": 1, "queries": 1,
        "methods": ["faast", "in_context", "knn"], "measure_in": "inline", "logger": "none", "progress": False,
    }  # fmt: skip
    planned = {entry.spec.method: entry for entry in bench.plan(**call)}
    assert {planned[method].status for method in ("in_context", "knn")} == {"to run"}
    assert planned["faast"].status == "skipped"
    assert "answers must have different tokens" in planned["faast"].reason
    (record,) = bench.run(**call | {"methods": "faast"})
    assert (record.id, record.status, record.reason) == (planned["faast"].id, "skipped", planned["faast"].reason)


@pytest.mark.slow
def test_a_sweep_and_a_run_with_what_it_found(place):
    study = bench.sweep(
        task="stripes", backbone="pixels", method="planted", vary=["x=-10:10", "y=1:1000:log"], set={"mode": "right"},
        trials=3, episodes=1, shots=3, logger="none",
    )  # fmt: skip
    assert study.best.tuning.trials == 3
    assert "3 trials" in str(study)
    assert (study.folder / "report.html").is_file()
    results = bench.run(config=study.folder / "best.yaml", shots=3, **SMALL)
    assert [record.spec.tuning for record in results if record.spec.tuning] == [study.best.tuning]
    assert {record.spec.method for record in results} == {"planted"}
    assert len(results) == 2  # the defaults beside it
