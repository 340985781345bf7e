"""No output takes a name or a reason for what it is not: a terminal's control, markup, a link, a formula."""

import csv
import io
import json
import re
import time

import pyarrow.csv as pc
import pytest

from bench.cli.output import say, say_error
from bench.reports import compare_tables, tables
from bench.reports.check import Check
from bench.reports.check_report import as_junit, as_markdown
from bench.reports.html_tables import html_table
from bench.reports.markdown import markdown_text
from bench.reports.rows import rows
from bench.reports.terminal_tables import terminal_table
from bench.results import export
from bench.results.store import Store
from bench.toolkit.visible import visible
from tests.helpers.hostile_names import HOSTILE, INVISIBLE, MARKUP, hostile
from tests.helpers.pages import made_page
from tests.helpers.records import made


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_each_output_shows_a_hostile_name_as_text(text):
    found = rows(hostile(text))
    check = Check(text, text, text, text, "regression", text)
    outputs = {
        "table": tables.as_table(found),
        "markdown": tables.as_markdown(found),
        "csv": tables.as_csv(found),
        "json": tables.as_json(found),
        "html": tables.as_html(found),
        "page": made_page(hostile(text.replace("\ud800", ""))).partition('<script type="application/octet')[0],
        "check": as_markdown([check]),
        "junit": as_junit([check]),
        "terminal": terminal_table([text], [[text]], text),
        "fragment": html_table([text], [[text]], [text]),
    }
    for name, output in outputs.items():
        assert not INVISIBLE.search(output), name
    for name in ("markdown", "check"):
        own = outputs[name].replace("**bench", "").replace("new**", "")
        assert not MARKUP.search(own), own
        assert len({line.count("|") for line in own.splitlines() if line.startswith("|")}) == 1
    assert visible(text).replace("[", "").strip() in outputs["table"].replace("[", "") or len(text) > 20
    assert "<img" not in outputs["html"] + outputs["page"] + outputs["fragment"]
    assert json.loads(outputs["json"])[0]["task"] == visible(text)
    for row in csv.reader(io.StringIO(outputs["csv"])):
        assert not [cell for cell in row if re.match(r"\s*[=+@\uff1d\t\r]|\s*-\D", cell)], row


@pytest.mark.parametrize("text", [text for text in HOSTILE if "\ud800" not in text], ids=ascii)
def test_an_export_has_no_formula(text, tmp_path):
    store = Store(tmp_path)
    for one in hostile(text):
        store.write(one)
    export.write(export.runs(store), tmp_path / "out.csv")
    for column in pc.read_csv(tmp_path / "out.csv", parse_options=pc.ParseOptions(newlines_in_values=True)).columns:
        assert not [cell for cell in column.to_pylist() if re.match(r"\s*[=+@\uff1d\t\r]|\s*-\D", str(cell))]


def test_lines_of_the_command_hold_nothing_that_steers_a_terminal(capsys):
    say("\x1b[2Ja\n\udcff")
    say_error("\x1b[2Ja\n\udcff")
    out, err = capsys.readouterr()
    assert out == "\\x1b[2Ja\n\\udcff\n"
    assert err == "bench: \\x1b[2Ja\\n\\udcff\n"


def test_a_reason_of_50_megabytes_does_not_stop_a_report():
    failed = made(status="failed", reason="x [a](b) " * 6_000_000, value=None, episode_scores=[])
    began = time.perf_counter()
    found = rows([failed])
    for make in (*tables.FORMATS.values(), tables.as_html):
        assert len(make(found)) < 20_000
    assert len(made_page([failed])) < 3_000_000
    assert time.perf_counter() - began < 10


def test_markdown_leaves_usual_names_alone():
    for text in (
        "faast@hidden_states",
        "nearest_mean [k=3,prior=mix]",
        "66.7 [60.1, 70.2]",
        "a_b_c",
        "iwslt2017:de-en",
        "-",
    ):
        assert markdown_text(text).replace("<!-- -->", "") == text
    assert markdown_text(compare_tables.NOTE) == compare_tables.NOTE
