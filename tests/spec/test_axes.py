"""An axis is one row of a table: budgets, reports, exports, trackers and checks are generated from it."""

import subprocess
import sys

import pytest

from bench.reports.row import Row
from bench.spec.axes import AXES
from bench.spec.budget import Budget
from tests.helpers.places import ROOT

NEW_AXIS = """
from bench.spec import axes

axes.AXES = (*axes.AXES, axes.Axis(
    "items", "items", "items of an episode", lambda costs: costs.n_support + costs.n_queries, limit=int, whole=True,
    title="size", in_table=True, on_page=True, check=axes.CheckRule("size", 0.1, 1, 0.1),
))
axes.LIMITED = {axis.name: axis for axis in axes.AXES if axis.limit is not None}

import json, tempfile
from pathlib import Path
from bench.reports.check import checks
from bench.reports.page import page
from bench.reports.rows import rows
from bench.reports.tables import FORMATS
from bench.results.export import runs
from bench.results.store import Store
from bench.runs.trackers.record_log import metrics
from bench.spec.budget import Budget, budget_of, parse_match, violations
from tests.helpers.records import COSTS, made

one, store = made(), Store(Path(tempfile.mkdtemp()))
store.write(one)
(row,) = rows([one])
grown = made(code="2", costs=COSTS.model_copy(update={"n_support": 60}))
(check,) = [each for each in checks([one], [grown], lambda record: None) if each.what == "size"]
print(json.dumps({
    "row": row.items,
    "json": json.loads(FORMATS["json"]([row]))[0]["items"],
    "markdown": "size items |" in FORMATS["markdown"]([row]),
    "page": 'data-field="items"' in page([row], [one]) and "items of an episode" in page([row], [one]),
    "export": runs(store).to_pylist()[0]["items"],
    "tracker": metrics(one)["costs/items"],
    "budget": str(budget_of({"items": 5}, "test")),
    "violation": str(violations(Budget(items=5), COSTS)[0]),
    "match": parse_match("m:items").budget(COSTS, True).items,
    "check": check.verdict,
}))
"""


@pytest.mark.slow
def test_a_new_row_of_the_table_is_everywhere():
    answer = subprocess.run(
        [sys.executable, "-c", NEW_AXIS], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == (
        '{"row": 9, "json": 9, "markdown": true, "page": true, "export": 9, "tracker": 9.0, "budget": "items=5", '
        '"violation": "items is 9, 5 allowed", "match": 9, "check": "regression"}'
    )


def test_names_are_those_of_earlier_records_and_tables():
    assert {axis.row_field for axis in AXES if axis.row_field} <= Row.model_fields.keys()
    assert list(Budget.model_fields) == [
        "adapt_seconds", "seconds_per_query", "query_milliseconds", "peak_memory_mb", "state_mb", "trainable_params",
        "steps", "tokens", "flops", "tuning_trials",
    ]  # fmt: skip
    assert {axis.export_field for axis in AXES} >= {
        "encode_seconds", "adapt_seconds", "query_seconds", "peak_memory_mb", "state_mb", "optimizer_mb",
        "trainable_params", "steps", "tokens", "flops", "time_to_first_query", "seconds_per_query",
    }  # fmt: skip
    assert Budget(steps=3, adapt_seconds=1, state_mb=2).held() == {"adapt_seconds": 1}
