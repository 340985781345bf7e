"""Names and reasons stay text in Markdown and XML."""

from dataclasses import replace
from xml.etree import ElementTree

from bench.reports.check import Check
from bench.reports.check_report import as_junit, as_markdown, as_table, summary
from tests.helpers.tables import compact

WILD = Check("t <b>a|b</b>", "status", "ok", "failed", "regression", "it said:\nno\x00 & 'yes' | \x1b[31m")


def test_markdown_keeps_text_in_its_cell():
    lines = compact(as_markdown([WILD])).splitlines()
    assert lines[0] == "**bench check: 1 regression in 1 check; 0 better, 0 new**"
    assert lines[4].startswith("| regression | t &lt;b&gt;a&#124;b&lt;/b&gt; | status | ok | failed | it said: no")
    assert len(lines) == 5


def test_junit_is_xml_whatever_a_run_said():
    root = ElementTree.fromstring(as_junit([WILD]).partition("\n")[2])
    (suite,) = root
    assert suite.get("name") == "t <b>a|b</b>"
    assert r"no\x00 & 'yes' | \x1b[31m" in suite[0][0].get("message")


def test_nothing_checked_is_said():
    assert summary([]) == "no regression in 0 checks; 0 better, 0 new"
    assert as_markdown([]).startswith("**bench check: no regression")


def test_a_terminal_has_what_changed_and_how_much_was_blind():
    same = replace(WILD, verdict="ok", what="accuracy")
    blind = replace(WILD, verdict="blind", what="query")
    text = as_table([WILD, same, same, blind])
    assert text.startswith("1 regression in 4 checks; 0 better, 0 new, 1 blind\n")
    assert text.count("t <b>a|b</b>") == 2  # the regression, and the example of a blind check
    assert "\x1b" not in text
    assert "1 row was checked for accuracy, query, status; --format markdown lists all" in text
    assert len(text.splitlines()) < 9
    assert "<summary>1 blind</summary>" in as_markdown([WILD, same, blind])
    suite = ElementTree.fromstring(as_junit([blind]).partition("\n")[2])[0]
    assert suite[0][0].tag == "skipped"
    assert suite.get("failures") == "0"
