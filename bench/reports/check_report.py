"""Reports of a check: a short form for terminals, Markdown for pull requests and JUnit XML for machines."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from bench.reports.check import Check
from bench.reports.markdown import markdown_table
from bench.toolkit.counted import counted
from bench.toolkit.visible import visible

HEADER = ("", "row", "what", "baseline", "now", "finding")


def summary(checks: Sequence[Check]) -> str:
    """Numbers of checks by verdict.

    Args:
        checks: The checks.

    Returns:
        One line.
    """
    counts = Counter(check.verdict for check in checks)
    worse = counts["regression"]
    regressions = counted(worse, "regression") if worse else "no regression"
    company = sum(check.company for check in checks)
    blind = f", {counts['blind']} blind" if counts["blind"] else ""
    warning = f"; warning: {company} of times measured in company" if company else ""
    of_all = f"{regressions} in {counted(len(checks), 'check')}"
    return f"{of_all}; {counts['better']} better, {counts['new']} new{blind}{warning}"


def _cells(checks: Sequence[Check]) -> list[tuple[str, ...]]:
    return [(check.verdict, check.row, check.what, check.before, check.after, check.finding) for check in checks]


def _changed(checks: Sequence[Check]) -> list[Check]:
    return [check for check in checks if check.verdict not in {"ok", "blind"}]


def as_table(checks: Sequence[Check]) -> str:
    """Short form for a terminal: the numbers, a table of what changed, and what was checked.

    Args:
        checks: The checks.

    Returns:
        The text, with a line break at its end.
    """
    changed, rows = _changed(checks), {check.row for check in checks}
    lines = [summary(checks)]
    if changed:
        from bench.reports.terminal_tables import terminal_table  # rich, which most checks start without

        lines.append(terminal_table(HEADER, _cells(changed), "").rstrip())
    kinds = ", ".join(dict.fromkeys(check.what for check in sorted(checks, key=lambda check: check.what)))
    checked = f"{counted(len(rows), 'row')} {'was' if len(rows) == 1 else 'were'} checked for {kinds or 'nothing'}"
    lines.append(f"{checked}; --format markdown lists all")
    if blind := [check for check in checks if check.verdict == "blind"]:
        example = visible(f"{blind[0].row}, {blind[0].what}")
        are = f"{counted(len(blind), 'check')} {'is' if len(blind) == 1 else 'are'}"
        lines.append(f"{are} blind, such as {example}: measurements spread too widely")
    return "\n".join(lines) + "\n"


def _table(checks: Sequence[Check]) -> str:
    return markdown_table(HEADER, _cells(checks))


def as_markdown(checks: Sequence[Check]) -> str:
    """Markdown report: changes as a table, everything else folded.

    Args:
        checks: The checks.

    Returns:
        The text, with a line break at its end.
    """
    changed = _changed(checks)
    lines = [f"**bench check: {summary(checks)}**", ""]
    if changed:
        lines += [_table(changed), ""]
    for verdict, title in (("blind", "blind"), ("ok", "as before")):
        if group := [check for check in checks if check.verdict == verdict]:
            lines += [f"<details><summary>{len(group)} {title}</summary>", "", _table(group), "", "</details>", ""]
    return "\n".join(lines)


FORMATS = {"table": as_table, "markdown": as_markdown}
"""Writers of a check's report by format."""


def as_junit(checks: Sequence[Check]) -> str:
    """JUnit XML report: a test suite for each row, a case for each check; a regression is a failure, and
    a blind check is skipped.

    Args:
        checks: The checks.

    Returns:
        The XML document.
    """
    from xml.etree import ElementTree

    from bench.reports.xml_text import xml_text

    root = ElementTree.Element("testsuites", name="bench check", tests=str(len(checks)))
    ordered = sorted(checks, key=lambda check: check.row)
    for row, group in groupby(ordered, key=lambda check: check.row):
        of_row = list(group)
        failures = sum(check.verdict == "regression" for check in of_row)
        suite = ElementTree.SubElement(
            root, "testsuite", name=xml_text(row), tests=str(len(of_row)), failures=str(failures)
        )
        for check in of_row:
            case = ElementTree.SubElement(suite, "testcase", classname=xml_text(row), name=xml_text(check.what))
            finding = xml_text(f"{check.before} -> {check.after}: {check.finding}")
            if check.verdict == "regression":
                ElementTree.SubElement(case, "failure", message=finding)
            elif check.verdict == "blind":
                ElementTree.SubElement(case, "skipped", message=finding)
            else:
                ElementTree.SubElement(case, "system-out").text = finding
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
