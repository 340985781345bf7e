"""Texts of a history's findings: a table for a terminal, Markdown for a pull request, JSON for programs."""

import json

from bench.reports.history.changes import Change, Outlier
from bench.reports.history.findings import Findings, short
from bench.reports.history.line import Line
from bench.reports.history.point import Point, State
from bench.reports.markdown import markdown_table, markdown_text
from bench.reports.terminal_tables import terminal_table
from bench.toolkit.visible import visible_json

HEADER = ("", "commits", "row", "what", "before", "after", "change")
OUTLIERS = ("", "row", "what", "level", "latest", "adjusted p")
SIDES = ("row", "what", "side", "commit", "date", "value", "machine", "records")
MOST_RECORDS = 3
"""Record ids of a side that texts show; the file has all."""


def value_text(line: Line, value: float) -> str:
    """A value of a line with its unit.

    Args:
        line: The line.
        value: The value, in the line's unit.

    Returns:
        Scores in the decimals of their metric, costs with four digits.
    """
    if line.kind == "score":
        return f"{value:.{_decimals(line)}f}"
    return f"{value:.4g} {line.unit}"


def change_text(change: Change) -> str:
    """The size of a change with its 95% interval: a difference of scores, or the growth of a cost in percent."""
    ends = change.difference, change.low, change.high
    if change.line.kind == "score":
        first, low, high = (f"{end:+.{_decimals(change.line) + 1}f}" for end in ends)
    else:
        first, low, high = (f"{100 * (end - 1):+.0f}%" for end in ends)
    return f"{first} ({low} to {high})"


def range_text(change: Change) -> str:
    """The commits that a change lies between, as ``git log`` takes them, and the likeliest of several."""
    before, after = change.between
    likeliest = change.sides[1].state.commit
    found = f"{short(before.commit)}..{short(after.commit)}"
    return found if likeliest == after.commit else f"{found}, likely {short(likeliest)}"


def _decimals(line: Line) -> int:
    """Decimals of a metric's scores: the least change is half a unit of the last one."""
    return max(0, len(f"{2 * line.points[-1].least:.10f}".rstrip("0").partition(".")[2]))


def _verdict(found: Change | Outlier) -> str:
    return "worse" if found.is_worse else "better"


def _changes(findings: Findings) -> list[tuple[str, ...]]:
    return [
        (
            _verdict(change), range_text(change), findings.names[change.line.row], change.line.quantity,
            value_text(change.line, change.before), value_text(change.line, change.after), change_text(change),
        )
        for change in findings.changes
    ]  # fmt: skip


def _outliers(findings: Findings) -> list[tuple[str, ...]]:
    return [
        (
            _verdict(found), findings.names[found.line.row], found.line.quantity, value_text(found.line, found.level),
            value_text(found.line, found.value), f"{found.p_value:.2g}",
        )
        for found in findings.outliers
    ]  # fmt: skip


def records_text(point: Point) -> str:
    """Ids of a point's records."""
    shown = ", ".join(point.records[:MOST_RECORDS])
    more = len(point.records) - MOST_RECORDS
    return f"{shown} and {more} more" if more > 0 else shown


def _machine(state: State) -> str:
    return f"{state.machine} on {state.host}" if state.host else state.machine


def _sides(findings: Findings) -> list[tuple[str, ...]]:
    return [
        (
            findings.names[change.line.row], change.line.quantity, side, short(point.state.commit), point.state.date,
            value_text(change.line, point.value or 0.0), _machine(point.state),
            records_text(point),
        )
        for change in findings.changes
        for side, point in zip(("before", "after"), change.sides, strict=True)
    ]  # fmt: skip


def _missing(findings: Findings) -> list[str]:
    return [
        f"no score of {findings.names[point.row]}: {point.status.replace('_', ' ')}: {point.reason}"
        for point in findings.without_score
    ]


def as_table(findings: Findings) -> str:
    """The findings for a terminal.

    Args:
        findings: The findings.

    Returns:
        The text, with a line break at its end.
    """
    parts = [findings.summary() + "\n"]
    if findings.changes:
        parts.append(terminal_table(HEADER, _changes(findings), ""))
    if findings.outliers:
        parts.append(terminal_table(OUTLIERS, _outliers(findings), "the latest state against the level before it"))
    return "".join([*parts, *(f"{line}\n" for line in _missing(findings))])


def as_markdown(findings: Findings) -> str:
    """The findings for a comment on a pull request: changes and outliers, and the records of both sides folded.

    Args:
        findings: The findings.

    Returns:
        The text, with a line break at its end.
    """
    lines = [f"**bench history: {markdown_text(findings.summary())}**", ""]
    if findings.outliers:
        lines += ["The latest state against the level of each line before it:", ""]
        lines += [markdown_table(OUTLIERS, _outliers(findings)), ""]
    lines += [f"- {markdown_text(line)}" for line in _missing(findings)] + [""] * bool(findings.without_score)
    if findings.changes:
        lines += ["Changes, the latest first:", "", markdown_table(HEADER, _changes(findings)), ""]
        lines += ["<details><summary>Records of both sides</summary>", ""]
        lines += [markdown_table(SIDES, _sides(findings)), "", "</details>", ""]
    return "\n".join(lines)


def as_json(findings: Findings) -> str:
    """The changes and outliers for programs.

    Args:
        findings: The findings.

    Returns:
        JSON, with a line break at its end.
    """

    def named(line: Line) -> dict[str, str]:
        return {**line.row._asdict(), "kind": line.kind, "quantity": line.quantity, "unit": line.unit}

    def side(point: Point) -> dict[str, object]:
        return {"commit": point.state.commit, "date": point.state.date, "value": point.value, "records": point.records}

    changes = [
        {
            **named(change.line), "verdict": _verdict(change),
            "after_commit": change.between[0].commit, "up_to_commit": change.between[1].commit,
            "likeliest_commit": change.sides[1].state.commit, "level_before": change.before,
            "level_after": change.after, "difference": change.difference, "low": change.low, "high": change.high,
            "p_value": change.p_value, "sides": [side(point) for point in change.sides],
        }
        for change in findings.changes
    ]  # fmt: skip
    outliers = [
        {**named(found.line), "verdict": _verdict(found), "level": found.level, "value": found.value,
         "p_value": found.p_value}
        for found in findings.outliers
    ]  # fmt: skip
    content = {"states": len(findings.states), "lines": len(findings.lines), "changes": changes, "outliers": outliers}
    return visible_json(json.dumps(content, indent=1, ensure_ascii=False)) + "\n"
