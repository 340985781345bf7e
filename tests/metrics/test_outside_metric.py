"""A metric of an outside package, and a task that names it: every report takes name, unit and direction from it."""

import csv
import json
import shutil

import pytest

from tests.helpers.command import shell
from tests.helpers.pages import data
from tests.helpers.records import rewrite
from tests.helpers.tables import compact

pytestmark = pytest.mark.slow

LABEL = "Brier score in squared distance (lower is better)"
RUN = [
    "run",
    "--measure-in",
    "inline",
    "--task",
    "sure_stripes",
    "--backbone",
    "pixels",
    "--shots",
    "5",
    "--seeds",
    "0,1",
]


@pytest.fixture(scope="module")
def stored(outside_site, tmp_path_factory):
    """A folder with the records of two methods, made by the command, and its output."""
    home = tmp_path_factory.mktemp("brier")
    words = [*RUN, "--method", "knn,nearest_prototype", "--store", home / "runs", "--logger", "csv"]
    answer = shell(*words, PYTHONPATH=str(outside_site), BENCH_CACHE=str(home / "cache"))
    assert answer.returncode == 0, answer.stderr
    return home, answer.stdout


@pytest.fixture
def bench(tmp_path, monkeypatch, in_process):
    """``bench ...`` in this process, in a folder of its own."""
    for name in ("BENCH_DATA", "BENCH_STORE", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return in_process


@pytest.fixture
def records(stored):
    return [json.loads(path.read_text()) for path in sorted((stored[0] / "runs").glob("*.json"))]


@pytest.fixture
def means(records):
    """Mean over the episodes of both seeds, by method."""
    scores = {}
    for record in sorted(records, key=lambda record: record["spec"]["seed"]):
        scores.setdefault(record["spec"]["method"], []).extend(record["episode_scores"])
    return {method: sum(each) / len(each) for method, each in scores.items()}


def test_the_record_has_the_metrics_score_and_notes(records):
    for record in records:
        assert record["metric"] == "brier"
        assert record["value"] == pytest.approx(sum(record["episode_scores"]) / 6)
        assert 0 < record["notes"]["worst_query"] <= 2
        assert record["identity"]["code"]["metric"]


def test_the_board_has_its_unit_decimals_and_order(stored, means, bench, outside):
    home, printed = stored
    code, text, err = bench("leaderboard", "--store", home / "runs", "--format", "markdown")
    assert code == 0, err
    assert f"score: {LABEL}, [95% interval]" in text
    assert LABEL in " ".join(printed.split())
    lines = [line for line in text.splitlines() if line.startswith("| sure_stripes")]
    best, worst = sorted(means, key=means.get)
    assert [method for line in lines for method in means if method in line] == [best, worst]
    for line, method in zip(lines, (best, worst), strict=True):
        assert f"{means[method]:.4f} [" in line


def test_compare_and_check_have_the_same_scores(stored, means, bench, outside, tmp_path):
    home, _ = stored
    best, worst = sorted(means, key=means.get)
    code, text, err = bench("compare", best, worst, "--store", home / "runs", "--format", "markdown")
    assert code == 0, err
    assert f"Scores: {LABEL}." in text
    assert f"{means[best]:.4f}" in text
    assert f"{means[worst]:.4f}" in text
    assert f"{means[best] - means[worst]:+.5f}" in text
    code, text, _ = bench("check", "--baseline", home / "runs", "--store", home / "runs", "--format", "markdown")
    assert code == 0
    (line,) = [line for line in text.splitlines() if f"sure_stripes {best}" in line and "brier" in line]
    assert line.count(f"{means[best]:.4f}") == 2
    assert LABEL in line
    # What is lower is no regression, and what is higher is one.
    swapped = tmp_path / "swapped"
    swapped.mkdir()
    for path in (home / "runs").glob("*.json"):
        shutil.copy(path, swapped)
        scores = json.loads(path.read_text())["episode_scores"]
        rewrite(swapped / path.name, episode_scores=[score + 0.5 for score in scores])
    code, text, _ = bench("check", "--baseline", home / "runs", "--store", swapped, "--format", "markdown")
    assert code == 1
    assert compact(text).count("| regression | sure_stripes") == 2


def test_exports_have_its_score_and_its_fields(stored, records, bench, outside, tmp_path):
    home, _ = stored
    assert bench("records", "export", "--store", home / "runs", "--out", tmp_path / "runs.csv")[0] == 0
    with (tmp_path / "runs.csv").open() as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    for record in records:
        row = rows[record["id"]]
        assert float(row["value"]) == record["value"]
        assert (row["metric"], row["unit"], row["higher_is_better"]) == ("brier", LABEL, "false")
    assert bench("records", "export", "--store", home / "runs", "--queries", "--out", tmp_path / "all.csv")[0] == 0
    with (tmp_path / "all.csv").open() as file:
        distances = [float(row["distance"]) for row in csv.DictReader(file)]
    assert sum(distances) / len(distances) == pytest.approx(sum(record["value"] for record in records) / len(records))
    assert bench("records", "verify", "--store", home / "runs")[0] == 0


def test_the_page_and_the_tracker_have_its_unit_and_direction(stored, means, bench, outside, tmp_path):
    home, _ = stored
    out = tmp_path / "board.html"
    assert bench("leaderboard", "--store", home / "runs", "--format", "html", "--out", out)[0] == 0
    text = out.read_text()
    found = data(text)
    assert found["metrics"] == {
        "brier": {"label": LABEL, "decimals": 4, "higher_is_better": False, "low": None, "high": None}
    }
    assert {row["method"]: row["value"] for row in found["rows"]} == means
    assert f"<dd>{LABEL}, with its 95% interval" in text
    logged = "".join(path.read_text() for path in (home / "runs" / "csv").rglob("hparams.yaml"))
    assert f"unit: {LABEL}" in logged
    assert "higher_is_better: false" in logged


def test_a_sweep_minimises_it_and_names_it(bench, outside, cache, tmp_path):
    words = ["sweep", "--task", "sure_stripes", "--backbone", "pixels", "--method", "planted", "--episodes", "2"]
    code, out, err = bench(*words, "--trials", "3", "--sampler", "random", "--logger", "csv")
    assert code == 0, err
    assert f"score: {LABEL}" in out
    (page,) = tmp_path.glob("studies/*/report.html")
    assert LABEL in page.read_text()
    (numbers,) = tmp_path.glob("studies/csv/**/metrics.csv")
    with numbers.open() as file:
        scores = [float(row["score"]) for row in csv.DictReader(file) if row["score"]]
    assert len(scores) == 3
    assert f"score {min(scores):.4g}" in out


def test_a_store_whose_metric_is_not_installed_says_so(stored, bench):
    code, _, err = bench("leaderboard", "--store", stored[0] / "runs")
    assert (code, err.count("\n")) == (2, 1)
    assert "no metric 'brier'" in err
