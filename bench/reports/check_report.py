"""Reports of a check: Markdown for people and JUnit XML for machines."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from xml.etree import ElementTree

from bench.reports.check import Check
from bench.reports.markdown import markdown_table
from bench.toolkit.visible import visible

HEADER = ("", "row", "what", "baseline", "now", "finding")
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def summary(checks: Sequence[Check]) -> str:
    """Numbers of checks by verdict.

    Args:
        checks: The checks.

    Returns:
        One line.
    """
    counts = Counter(check.verdict for check in checks)
    worse = counts["regression"]
    regressions = f"{worse} regression{'' if worse == 1 else 's'}" if worse else "no regression"
    company = sum(check.company for check in checks)
    warning = f"; warning: {company} of times measured in company" if company else ""
    return f"{regressions} in {len(checks)} checks; {counts['better']} better, {counts['new']} new{warning}"


def _table(checks: Sequence[Check]) -> str:
    cells = [(check.verdict, check.row, check.what, check.before, check.after, check.finding) for check in checks]
    return markdown_table(HEADER, cells)


def as_markdown(checks: Sequence[Check]) -> str:
    """Markdown report: changes as a table, everything else folded.

    Args:
        checks: The checks.

    Returns:
        The text, with a line break at its end.
    """
    changed = [check for check in checks if check.verdict != "ok"]
    same = [check for check in checks if check.verdict == "ok"]
    lines = [f"**bench check: {summary(checks)}**", ""]
    if changed:
        lines += [_table(changed), ""]
    if same:
        lines += [f"<details><summary>{len(same)} as before</summary>", "", _table(same), "", "</details>", ""]
    return "\n".join(lines)


def as_junit(checks: Sequence[Check]) -> str:
    """JUnit XML report: a test suite for each row, a case for each check; a regression is a failure.

    Args:
        checks: The checks.

    Returns:
        The XML document.
    """
    root = ElementTree.Element("testsuites", name="bench check", tests=str(len(checks)))
    ordered = sorted(checks, key=lambda check: check.row)
    for row, group in groupby(ordered, key=lambda check: check.row):
        of_row = list(group)
        failures = sum(check.verdict == "regression" for check in of_row)
        suite = ElementTree.SubElement(
            root, "testsuite", name=_clean(row), tests=str(len(of_row)), failures=str(failures)
        )
        for check in of_row:
            case = ElementTree.SubElement(suite, "testcase", classname=_clean(row), name=_clean(check.what))
            finding = _clean(f"{check.before} -> {check.after}: {check.finding}")
            if check.verdict == "regression":
                ElementTree.SubElement(case, "failure", message=finding)
            else:
                ElementTree.SubElement(case, "system-out").text = finding
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _clean(text: str) -> str:
    """The text without characters that XML does not allow or a reader cannot see."""
    return _NOT_XML.sub("?", visible(text))
