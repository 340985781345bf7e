"""``bench claims`` as a user types it: from runs that are missing to verdicts, a page, JUnit and an exit code."""

import json

import pytest

from bench.runs import cost_comparison
from bench.runs.runner import same_process

CLAIM = """name: mine
statement: A method with a support set is better than chance, whatever it costs.
tests:
  - method: faast
    against: [zero_shot]
    conditions:
      - {score: not_worse, margin: 100}
    runs:
      - {task: stripes, backbone: pixels, shots: [5], episodes: 8}
  - method: faast
    against: [knn]
    conditions:
      - {cost: adapt_seconds, at_most: 1000000}
      - {cost: peak_memory_mb, at_most: 1000000}
      - {cost: state_mb, at_most: 1000000}
    runs:
      - {task: stripes, backbone: pixels, shots: [5], episodes: 8}
"""


@pytest.fixture
def claims(tmp_path, monkeypatch, in_process, outside, cache):
    """``bench claims mine.yaml ...`` with costs measured in this process."""
    for name in ("BENCH_DATA", "BENCH_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.runs.runner.fresh_processes", same_process)
    monkeypatch.setattr("bench.costs.repeats.PATIENCE", 60.0)  # costs are compared in pairs of measurements
    monkeypatch.setattr("bench.costs.in_turn.MOST", 3)
    (tmp_path / "mine.yaml").write_text(CLAIM)
    return lambda *words: in_process("claims", "mine.yaml", *words)


@pytest.mark.slow
def test_claims_run_what_is_missing_and_keep_what_they_measured(claims, tmp_path, monkeypatch, in_process):
    code, text, _ = claims("--no-run", "--format", "json")
    assert (code, {cell["verdict"] for cell in json.loads(text)[0]["cells"]}) == (0, {"undecided"})
    assert not (tmp_path / "runs").exists()
    assert claims("--no-run", "--fail-on", "refuted")[0] == 0
    assert claims("--no-run", "--fail-on", "undecided")[0] == 1
    code, text, err = claims("--format", "json", "--junit", "claims.xml", "--accelerator", "cpu")
    assert code == 0, err
    cells = {cell["condition"].partition(" at most")[0]: cell for cell in json.loads(text)[0]["cells"]}
    assert cells["score worse by less than 100"]["verdict"] == "confirmed"
    assert cells["state mb"]["verdict"] == "confirmed"
    assert cells["adapt seconds"]["verdict"] == "confirmed"
    assert "measured stripes at 5 shots: faast and knn in turn" in err
    assert "<testsuite" in (tmp_path / "claims.xml").read_text()
    (kept,) = (tmp_path / "runs" / "ratios").iterdir()
    assert {"adapt_seconds", "peak_memory_mb"} <= {one["cost"] for one in json.loads(kept.read_text())["axes"]}

    def again(*_):
        raise AssertionError("measured again")

    # A second call runs and measures nothing, and one on the store finds the same.
    monkeypatch.setattr(cost_comparison, "each_comparison", again)
    assert claims("--format", "json", "--accelerator", "cpu")[:2] == (0, text)
    assert claims("--format", "json", "--no-run")[:2] == (0, text)
    board = ("leaderboard", "--format", "html", "--out", "board.html", "--claims", "mine.yaml")
    assert in_process(*board)[0] == 0
    assert '<section id="claims"' in (tmp_path / "board.html").read_text()
    code, _, err = in_process("leaderboard", "--claims", "mine.yaml")
    assert (code, err.count("\n")) == (2, 1)
    # Ratios of a run without a record are superfluous; damaged ones are measured anew.
    assert "ratios" not in in_process("records", "prune", "--dry-run")[1]
    kept.write_text(kept.read_text().replace('"pairs": 3', '"pairs": 9'))
    code, text, err = claims("--format", "json", "--no-run")
    assert code == 0
    assert "cannot be read (its digest is wrong) and count as not measured" in err


def test_claims_are_listed(in_process):
    code, text, err = in_process("claims")
    assert (code, err) == (0, "")
    assert "faast/accuracy" in text
    code, _, err = in_process("claims", "--fail-on", "refuted")
    assert (code, err.count("\n")) == (2, 1)
    code, _, err = in_process("claims", "faaast")
    assert (code, err) == (2, "bench: no claim 'faaast'; did you mean 'faast'?\n")
