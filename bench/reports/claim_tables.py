"""Claims with their verdicts as a terminal table, Markdown, JSON, JUnit XML, or a section of a page."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from html import escape
from typing import Any
from xml.etree import ElementTree

from bench.reports.claims import Cell, ClaimReport
from bench.reports.company import SIGN
from bench.reports.html_tables import html_table
from bench.reports.markdown import markdown_table, markdown_text
from bench.reports.template import environment
from bench.reports.terminal_tables import terminal_table
from bench.reports.xml_text import xml_text
from bench.toolkit.visible import visible

SUMMARY = ("claim", "verdict", "cells", "most for it", "most against it")
CELLS = ("condition", "task", "shots", "method", "against", "found (95% interval)", "p", "verdict", "would decide")
WRAPPED = (*SUMMARY[:2], *SUMMARY[3:], "condition", "against", "found (95% interval)", "would decide")
"""Columns of sentences."""
NOTE = (
    "A cell is one condition on one task, other method and number of shots: confirmed or refuted where a paired test "
    "against the limit says so at 5%, adjusted by Holm for all cells of the claim. "
    "Scores: both, and their difference; costs: both, and their ratio; spreads: the standard deviation over seeds."
)
ALL = "refuted by any cell that refutes it, confirmed if all cells confirm it"
SOME = "confirmed by any cell that confirms it, refuted if all cells refute it"


def as_table(reports: Sequence[ClaimReport]) -> str:
    """Terminal tables as plain text: all claims, and the cells of each."""
    parts = [terminal_table(SUMMARY, _summary_cells(reports), " ".join(_notes(reports)), WRAPPED)]
    parts += [
        f"\n{visible(_title(report))}\n{terminal_table(CELLS, _cells(report), _sentence(report), WRAPPED)}"
        for report in reports
    ]
    return "".join(parts)


def summary_markdown(reports: Sequence[ClaimReport]) -> str:
    """A GitHub table with a row for each claim.

    Args:
        reports: The claims.

    Returns:
        The text, with a line break at its end.
    """
    notes = "\n".join(markdown_text(note) for note in _notes(reports))
    return f"{markdown_table(SUMMARY, _summary_cells(reports))}\n\n{notes}\n"


def as_markdown(reports: Sequence[ClaimReport]) -> str:
    """GitHub tables: all claims, and the cells of each."""
    parts = [summary_markdown(reports)]
    for report in reports:
        table = markdown_table(CELLS, _cells(report), right=("p",))
        parts.append(f"**{markdown_text(_title(report))}** {markdown_text(_sentence(report))}\n\n{table}\n")
    return "\n".join(parts)


def as_json(reports: Sequence[ClaimReport]) -> str:
    """A list of claims with their cells."""
    content = [
        {
            "name": report.claim.name, "statement": report.claim.statement, "source": report.claim.source,
            "holds_in": report.claim.holds_in, "verdict": report.verdict,
            "counts": {verdict: report.counts[verdict] for verdict in ("confirmed", "refuted", "undecided")},
            "company": list(report.reasons), "cells": [_finite(asdict(cell)) for cell in report.cells],
        }
        for report in reports
    ]  # fmt: skip
    return json.dumps(content, indent=1) + "\n"


def _finite(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields that JSON can hold; infinity becomes null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in fields.items()
    }


def as_html(reports: Sequence[ClaimReport]) -> str:
    """A page with the section alone; it works offline."""
    return environment().get_template("claims.html").render(section=section(reports))


def section(reports: Sequence[ClaimReport]) -> str:
    """The claims as a section of a page.

    Args:
        reports: The claims.

    Returns:
        A fragment of HTML: all claims, and the cells of each to open.
    """
    parts = [html_table(SUMMARY, _summary_cells(reports), _notes(reports))]
    for report in reports:
        cells = html_table(CELLS, _cells(report), [_sentence(report)])
        parts.append(f"<details><summary>{escape(visible(_title(report)))}</summary>{cells}</details>")
    start = '<section id="claims" class="claims" aria-label="Claims" tabindex="0"><h2>Claims</h2>'
    return f"{start}{''.join(parts)}</section>"


def as_junit(reports: Sequence[ClaimReport]) -> str:
    """JUnit XML: a test suite for each claim, with a case for the whole and one for each cell.

    What is refuted is a failure, but for cells of a claim that has to hold in some alone; what is undecided is skipped.

    Args:
        reports: The claims.

    Returns:
        The XML document.
    """
    root = ElementTree.Element("testsuites", name="bench claims")
    for report in reports:
        suite = ElementTree.SubElement(root, "testsuite", name=xml_text(report.claim.name))
        cases = [("the whole claim", report.verdict, _sentence(report), True)]
        cases += [
            (f"{cell.condition}: {cell.place}", cell.verdict, _finding(cell), report.claim.holds_in == "all")
            for cell in report.cells
        ]
        for name, verdict, finding, counts in cases:
            case = ElementTree.SubElement(suite, "testcase", classname=xml_text(report.claim.name), name=xml_text(name))
            text = xml_text(f"{verdict}: {finding}")
            if verdict == "refuted" and counts:
                ElementTree.SubElement(case, "failure", message=text)
            elif verdict == "undecided":
                ElementTree.SubElement(case, "skipped", message=text)
            else:
                ElementTree.SubElement(case, "system-out").text = text
        suite.set("tests", str(len(cases)))
        for kind, tag in (("failures", "failure"), ("skipped", "skipped")):
            suite.set(kind, str(len(suite.findall(f"testcase/{tag}"))))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _title(report: ClaimReport) -> str:
    return f"{report.claim.name}: {report.claim.statement}"


def _sentence(report: ClaimReport) -> str:
    """Verdict, rule and source of a claim."""
    source = f" Source: {report.claim.source}." if report.claim.source else ""
    return (
        f"{report.verdict.capitalize()}: {_counts(report)}; {ALL if report.claim.holds_in == 'all' else SOME}.{source}"
    )


def _counts(report: ClaimReport) -> str:
    counts = report.counts
    return f"{counts['confirmed']} for, {counts['refuted']} against, {counts['undecided']} undecided"


def _notes(reports: Sequence[ClaimReport]) -> list[str]:
    """How to read the tables, and which times count as measured in company."""
    reasons = [reason for report in reports for reason in report.reasons]
    company = (
        f"{SIGN}: measured while something else used the machine ({''.join(reasons[:1])}); --remeasure repeats it."
    )
    return [NOTE, company] if reasons else [NOTE]


def _summary_cells(reports: Sequence[ClaimReport]) -> list[list[str]]:
    return [
        [report.claim.statement, ": ".join(filter(None, [report.verdict, report.needs])), _counts(report),
         _evidence(report.strongest), _evidence(report.weakest)]
        for report in reports
    ]  # fmt: skip


def _evidence(cell: Cell | None) -> str:
    return "-" if cell is None else f"{cell.finding}; {cell.place} ({cell.verdict})"


def _cells(report: ClaimReport) -> list[list[str]]:
    return [
        [cell.condition, cell.task, str(cell.shots), cell.method, cell.against or "-", cell.finding,
         "-" if cell.p_value is None else f"{cell.p_value:.2g}", cell.verdict, cell.needs or "-"]
        for cell in report.cells
    ]  # fmt: skip


def _finding(cell: Cell) -> str:
    return "; ".join(text for text in (cell.finding, cell.needs) if text not in {"", "-"})


FORMATS: dict[str, Callable[[Sequence[ClaimReport]], str]] = {
    "table": as_table,
    "markdown": as_markdown,
    "json": as_json,
    "html": as_html,
}
