"""Names and reasons stay text in Markdown and XML."""

from xml.etree import ElementTree

from bench.reports.check import Check
from bench.reports.check_report import as_junit, as_markdown, summary
from tests.helpers.tables import compact

WILD = Check("t <b>a|b</b>", "status", "ok", "failed", "regression", "it said:\nno\x00 & 'yes' | \x1b[31m")


def test_markdown_keeps_text_in_its_cell():
    lines = compact(as_markdown([WILD])).splitlines()
    assert lines[0] == "**bench check: 1 regression in 1 checks; 0 better, 0 new**"
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
