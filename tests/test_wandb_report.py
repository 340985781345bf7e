"""The example report of W&B runs is made from the committed file, and joins the seeds of a group."""

import importlib
import json

import pytest

from tests.helpers.places import ROOT


@pytest.fixture
def report(monkeypatch):
    """The script, as ``python docs/results/wandb_report.py`` finds its neighbours."""
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "results"))
    return importlib.import_module("wandb_report")


def test_the_committed_page_is_made_from_the_committed_runs(report):
    kept = json.loads(report.KEPT.read_text(encoding="utf-8"))
    assert report.PAGE.read_text(encoding="utf-8") == report.page(kept), (
        "PYTHONPATH=. python docs/results/wandb_report.py"
    )
    assert report.CHART.read_text(encoding="utf-8").startswith("<svg")


def test_seeds_of_a_group_are_one_row_and_one_point(report):
    def run(seed, score, shots=1):
        numbers = {"score/accuracy": score, "seconds/adapt": 0.01 * (seed + 1), "seconds/per_query": 1e-5,
                   "memory/peak_mb": 100.0, "memory/state_mb": 0.05}  # fmt: skip
        return {"group": f"digits-faast-{shots}shot", "name": "n", "job_type": "faast", "tags": [], "numbers": numbers,
                "method": "faast", "shots": shots, "seed": seed, "metric": "accuracy", "status": "ok"}  # fmt: skip

    runs = [run(0, 40.0), run(1, 50.0), run(2, 60.0), run(0, 70.0, shots=5)]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in report.table(runs).splitlines()[2:]]
    assert rows[0][:6] == ["digits-faast-1shot", "3", "50.0", "40.0 to 60.0", "0.0200", "1.0e-05"]
    assert rows[1][:4] == ["digits-faast-5shot", "1", "70.0", "70.0 to 70.0"]
    (trace,) = report.chart(runs).data
    assert (trace.x, trace.y, trace.text) == ((0.02, 0.01), (50.0, 70.0), ("1", "5"))
    assert trace.error_y.array == trace.error_y.arrayminus == (10.0, 0.0)
