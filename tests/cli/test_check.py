"""``bench check`` as continuous integration runs it: exit codes, Markdown, JUnit XML, new baselines."""

from xml.etree import ElementTree

import pytest

from bench.results.prune import unnamed
from bench.results.store import Store
from tests.helpers.stores import fill
from tests.helpers.tables import compact


@pytest.fixture
def check(tmp_path, monkeypatch, in_process):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.delenv("BENCH_STORE", raising=False)

    return lambda *words: in_process("check", "--baseline", "baseline", *words)


def test_the_same_again_passes(check, tmp_path):
    fill(tmp_path / "baseline", 0)
    fill(tmp_path / "runs", 1)
    code, out, err = check()
    assert (code, err) == (0, "")
    assert out.startswith("no regression in ")
    assert len(out.splitlines()) == 2
    assert "<details>" in check("--format", "markdown")[1]


def test_a_regression_fails_with_a_report_in_three_places(check, tmp_path, monkeypatch):
    fill(tmp_path / "baseline", 0)
    fill(tmp_path / "now", 1, slower=("probe", 1.5), failing={("t", "closed", 0)})
    (tmp_path / "summary.md").write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    code, out, _ = check("--store", "now", "--junit", "junit.xml")
    assert code == 1
    assert out.startswith("3 regressions in ")
    assert "planted <b>" in out
    report = (tmp_path / "summary.md").read_text()
    assert report.startswith("before\n**bench check: 3 regressions in ")
    assert "| regression | u probe 5 shots | adapt | 0." in compact(report)
    assert "planted &lt;b&gt;" in report
    root = ElementTree.parse(tmp_path / "junit.xml").getroot()
    failures = {
        (case.get("classname"), case.get("name")) for case in root.iter("testcase") if case.find("failure") is not None
    }
    assert failures == {("t closed 5 shots", "status"), ("t probe 5 shots", "adapt"), ("u probe 5 shots", "adapt")}
    assert sum(int(suite.get("failures")) for suite in root) == 3
    assert sum(int(suite.get("tests")) for suite in root) == int(root.get("tests")) == len(list(root.iter("testcase")))


@pytest.mark.slow
def test_update_makes_the_current_records_the_baseline(check, tmp_path):
    fill(tmp_path / "runs", 1)
    code, _, err = check()
    assert code == 2
    assert err == "bench: the baseline baseline has no records; make a baseline of the current ones with --update\n"
    code, out, _ = check("--update")
    assert (code, out) == (0, "baseline has the 18 current records of runs\n")
    assert check()[0] == 0
    # An older baseline goes, with the predictions that belonged to it.
    fill(tmp_path / "now", 2, worse=("closed", 0.1), tasks="t")
    assert check("--store", "now", "--update")[0] == 0
    baseline, now = Store(tmp_path / "baseline"), Store(tmp_path / "now")
    assert list(baseline) == list(now)
    assert len(list((baseline.root / "predictions").iterdir())) == 9
    assert unnamed(baseline, baseline) == []


def test_what_cannot_be_read_or_written_is_one_line(check, tmp_path):
    fill(tmp_path / "baseline", 0)
    code, _, err = check()
    assert (code, err.count("\n")) == (1, 1)
    assert "no records in runs" in err
    fill(tmp_path / "runs", 1)
    code, _, err = check("--junit", "nowhere/junit.xml")
    assert code == 1
    assert "--junit nowhere/junit.xml cannot be written: No such file or directory" in err
    path = next((tmp_path / "runs").glob("*.json"))
    path.write_text(path.read_text().replace('"status": "ok"', '"status": "fine"'))
    code, _, err = check()
    assert code == 1
    assert f"{path.name} is not a valid record: status" in err


def test_update_touches_no_file_that_is_no_record(check, tmp_path):
    fill(tmp_path / "runs")
    baseline = tmp_path / "baseline"
    fill(baseline, seeds=(7,))
    foreign = {"package.json": "{}", "predictions/table.parquet": "mine", ".draft.tmp": "mine", "0123.json": "{"}
    for name, text in foreign.items():
        (baseline / name).write_text(text)
    before = Store(baseline).paths()
    assert check("--update")[0] == 0
    assert {name: (baseline / name).read_text() for name in foreign} == foreign
    assert not set(before) & set(Store(baseline).paths())
    assert unnamed(Store(baseline), Store(baseline)) == []
