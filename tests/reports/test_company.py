"""Times that were measured in company are marked wherever they are shown, and warned of in ratios and gates."""

import pyarrow.compute as pc
import pytest

from bench.reports.check import checks
from bench.reports.check_report import as_markdown
from bench.reports.company import LEGEND, SIGN, ratio_warning
from bench.reports.page import page
from bench.reports.rows import against, rows
from bench.reports.tables import FORMATS
from bench.results.export import runs
from bench.results.store import Store
from tests.helpers.company import ALONE, IN_COMPANY, REASON, two_rows
from tests.helpers.pages import data
from tests.helpers.records import made


@pytest.mark.parametrize("name", ["table", "markdown"])
def test_tables_mark_times_and_explain_the_sign(name):
    text = FORMATS[name](rows(two_rows()))
    busy, quiet = (next(line for line in text.splitlines() if method in line) for method in ("busy", "quiet"))
    assert busy.count(SIGN) == 3  # encode, adapt and query; memory does not depend on company
    assert SIGN not in quiet
    assert LEGEND in " ".join(text.split())
    assert SIGN not in FORMATS[name](rows([made(costs=ALONE)]))


def test_csv_json_and_exports_give_the_reason(tmp_path):
    for name in ("csv", "json"):
        assert FORMATS[name](rows(two_rows())).count(REASON) == 1
    store = Store(tmp_path)
    for record in two_rows():
        store.write(record)
    exported = runs(store)
    assert sorted(exported["company"].to_pylist()) == ["", REASON]
    assert pc.all(pc.equal(exported["measured_for"], "")).as_py()


def test_the_page_knows_which_times_to_mark_and_explains_the_sign():
    records = two_rows()
    text = page(rows(records), records)
    found = data(text)
    assert {row["method"]: bool(row["company"]) for row in found["rows"]} == {"busy": True, "quiet": False}
    assert {one["field"] for one in found["costs"] if one["time"]} == {
        "time_to_first_query", "adapt_seconds", "query_milliseconds",
    }  # fmt: skip
    assert found["company"] == {records[0].id: REASON}
    assert LEGEND in text


def test_a_break_even_of_such_times_has_a_warning():
    compared = against(rows(two_rows()), "quiet")
    assert [row.method for row in compared if row.break_even_company] == ["busy"]
    assert "busy" in ratio_warning(compared)
    assert (
        ratio_warning(against(rows([made({"method": "a"}, costs=ALONE), made({"method": "b"}, costs=ALONE)]), "a"))
        == ""
    )


def test_a_gate_on_such_times_has_a_warning():
    found = checks([made(costs=ALONE)], [made(costs=IN_COMPANY)], lambda record: None)
    marked = {check.what for check in found if check.company}
    assert marked == {"encode", "adapt", "query"}
    finding = next(check.finding for check in found if check.what == "adapt")
    assert f"measured in company now ({REASON})" in finding
    assert "warning: 3 of times measured in company" in as_markdown(found)
