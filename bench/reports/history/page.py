"""The page of a history: one HTML file with a chart for each line, drawn as SVG, and its changes marked."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from bench.reports.history.changes import Change, levels_of
from bench.reports.history.findings import Findings, short
from bench.reports.history.line import Line
from bench.reports.history.point import Point, State
from bench.reports.history.text import change_text, range_text, records_text, value_text
from bench.reports.template import environment
from bench.version import __version__

WIDTH, HEIGHT = 560, 180
LEFT, RIGHT, TOP, BOTTOM = 62, 10, 10, 24
N_TICKS = 4
"""Horizontal rules of a chart, about."""


@dataclass(frozen=True)
class Dot:
    """A point of a chart.

    Attributes:
        x: Place, in pixels.
        y: Place of the value.
        low: Place of the lower end of its interval; None without one.
        high: Place of the upper end.
        hollow: Whether it was measured in company.
        title: What a reader sees who points at it.
    """

    x: float
    y: float
    low: float | None
    high: float | None
    hollow: bool
    title: str


@dataclass(frozen=True)
class Mark:
    """A change in a chart.

    Attributes:
        left: Left end of the states that it may lie between, in pixels.
        right: Right end.
        x: The likeliest place, between two states.
        title: What a reader sees who points at it.
        worse: Whether it is for the worse.
    """

    left: float
    right: float
    x: float
    title: str
    worse: bool


@dataclass(frozen=True)
class Chart:
    """A line of the history as a chart.

    Attributes:
        id: Anchor of the chart.
        quantity: What is drawn.
        caption: Unit, direction and machine.
        description: The chart in words.
        dots: Its points.
        levels: Left end, right end and height of each level between changes.
        marks: Its changes.
        rules: Height and label of each horizontal rule.
        ticks: Place and label of some states.
        latest: The latest value.
    """

    id: str
    quantity: str
    caption: str
    description: str
    dots: list[Dot]
    levels: list[tuple[float, float, float]]
    marks: list[Mark]
    rules: list[tuple[float, str]]
    ticks: list[tuple[float, str]]
    latest: str


def page(findings: Findings) -> str:
    """Render the page; equal findings give the same page to the byte.

    Args:
        findings: The findings of a history.

    Returns:
        The HTML text, which loads nothing from elsewhere.
    """
    return environment().get_template("history.html").render(section=section(findings))


def section(findings: Findings) -> str:
    """The changes and the lines as a section of a page.

    Args:
        findings: The findings of a history.

    Returns:
        A fragment of HTML, for which a page needs ``history.css`` and ``history.js``.
    """
    templates = environment()
    charts = {id(line): _chart(findings, line, f"line-{number}") for number, line in enumerate(findings.lines)}
    rows = [
        (findings.names[row], [charts[id(line)] for line in lines])
        for row, lines in groupby(findings.lines, key=lambda line: line.row)
    ]
    changes = [
        {
            "change": change, "range": range_text(change), "name": findings.names[change.line.row],
            "size": change_text(change), "anchor": charts[id(change.line)].id,
            "before": value_text(change.line, change.before), "after": value_text(change.line, change.after),
            "sides": [
                (side, point.state, value_text(change.line, point.value or 0.0), records_text(point), point.company)
                for side, point in zip(("before", "after"), change.sides, strict=True)
            ],
        }
        for change in findings.changes
    ]  # fmt: skip
    outliers = [
        {
            "worse": found.is_worse, "name": findings.names[found.line.row], "quantity": found.line.quantity,
            "level": value_text(found.line, found.level), "value": value_text(found.line, found.value),
            "anchor": charts[id(found.line)].id,
        }
        for found in findings.outliers
    ]  # fmt: skip
    text: str = templates.get_template("history_section.html").render(
        version=__version__, findings=findings, latest=short(findings.states[-1].commit) if findings.states else "",
        rows=rows, changes=changes, outliers=outliers, width=WIDTH, height=HEIGHT, left=LEFT, right=WIDTH - RIGHT,
        top=TOP, bottom=HEIGHT - BOTTOM,
    )  # fmt: skip
    return text


def _chart(findings: Findings, line: Line, anchor: str) -> Chart:
    """The chart of a line; its horizontal axis has all states of the history, so that charts compare."""
    at = _places(findings.states)
    across = {state.id: at[number] for number, state in enumerate(findings.states)}
    changes = [change for change in findings.changes if change.line is line]
    low, high = _limits(line)

    def height(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (high - min(max(value, low), high)) / (high - low), 1)

    def place(point: Point) -> float:
        return across[point.state.id]

    def dot(point: Point) -> Dot:
        low, high = (None if end is None else height(end) for end in (point.low, point.high))
        return Dot(place(point), height(point.value or 0.0), low, high, bool(point.company), _title(line, point))

    counted = line.counted
    levels = [
        (place(counted[start]), place(counted[end - 1]), height(level))
        for start, end, level in levels_of(line, changes)
    ]  # fmt: skip
    marks = [
        Mark(
            place(counted[change.first - 1]), place(counted[change.last]),
            (place(counted[change.at - 1]) + place(counted[change.at])) / 2,
            f"{range_text(change)}: {change_text(change)}", change.is_worse,
        )
        for change in changes
    ]  # fmt: skip
    direction = "higher is better" if line.points[0].higher_is_better else "lower is better"
    shown = ", ".join(part for part in (line.unit, direction, line.machine) if part)
    return Chart(
        anchor, line.quantity, shown, _description(findings, line, changes), [dot(point) for point in line.points],
        levels, marks, [(height(value), f"{value:.6g}") for value in _rules(low, high)],
        [(at[number], findings.states[number].date[:10]) for number in _ticks(len(at))],
        value_text(line, line.points[-1].value or 0.0),
    )  # fmt: skip


def _places(states: Sequence[State]) -> list[float]:
    """Places of states: equal steps, whatever time is between them."""
    step = (WIDTH - LEFT - RIGHT) / max(1, len(states))
    return [round(LEFT + step * (number + 0.5), 1) for number in range(len(states))]


def _limits(line: Line) -> tuple[float, float]:
    """The vertical scale: values that count, with their intervals, and a twentieth more; others are at its ends."""
    ends = [end for point in line.counted for end in (point.value, point.low, point.high) if end is not None]
    low, high = min(ends), max(ends)
    room = (high - low) / 20 or abs(high) / 20 or 1.0
    return low - room, high + room


def _rules(low: float, high: float) -> list[float]:
    """Round values between two: steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / N_TICKS
    power = 10.0 ** np.floor(np.log10(raw))
    step = float(power * next(factor for factor in (1, 2, 5, 10) if factor * power >= raw))
    return [float(step * number) for number in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def _ticks(number: int) -> list[int]:
    """Numbers of states that are labelled: the first, the last and one between, where there is room."""
    return sorted({0, number // 2, number - 1}) if number > 4 else sorted({0, number - 1})


def _title(line: Line, point: Point) -> str:
    ends = f" [{point.low:.4g}, {point.high:.4g}]" if point.low is not None and point.high is not None else ""
    parts = (f"{short(point.state.commit)}, {point.state.date}", f"{value_text(line, point.value or 0.0)}{ends}")
    return "\n".join([*parts, *filter(None, (point.state.machine, point.company))])


def _description(findings: Findings, line: Line, changes: Sequence[Change]) -> str:
    found = "; ".join(f"{change_text(change)} at {range_text(change)}" for change in changes) or "no change"
    return f"{findings.names[line.row]}, {line.quantity}, {len(line.points)} states: {found}"
