"""Charts of results pages: lines with intervals, in a panel for each group of points."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go
from figures import images
from plotly.subplots import make_subplots

COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#7f7f7f", "#e377c2", "#bcbd22")
WIDTH, HEIGHT = 360, 380
"""Of a panel, in pixels."""
LAW = "capacity law of hebbian, decay 1"
REFERENCES = frozenset({"zero_shot", LAW})
"""Lines without markers."""


@dataclass(frozen=True)
class Point:
    """A point of a figure.

    Attributes:
        panel: Title of its panel.
        line: Name of its line.
        x: Place on the horizontal axis; texts stand at equal distances.
        y: Place on the vertical axis.
        low: Lower end of its interval, if it has one.
        high: Upper end.
    """

    panel: str
    line: str
    x: float | str
    y: float
    low: float | None = None
    high: float | None = None


def chart(points: Iterable[Point], x: str, y: str | None, log_x: bool = False, log_y: bool = False) -> go.Figure:
    """Lines with intervals, in a panel for each group of points.

    Args:
        points: The points, in the order of each line.
        x: Title of the horizontal axes.
        y: Title of the vertical axes; None where the panels' titles say what is measured.
        log_x: Whether horizontal axes are logarithmic.
        log_y: Whether vertical axes are logarithmic.

    Returns:
        The figure.
    """
    found = list(points)
    panels, lines = (list(dict.fromkeys(getattr(point, name) for point in found)) for name in ("panel", "line"))
    figure = make_subplots(1, len(panels), subplot_titles=panels, horizontal_spacing=0.18 / len(panels))
    for column, panel in enumerate(panels, start=1):
        for number, line in enumerate(lines):
            if drawn := [point for point in found if (point.panel, point.line) == (panel, line)]:
                first = next(point.panel for point in found if point.line == line) == panel
                trace = _trace(drawn, line, COLOURS[number % len(COLOURS)], first)
                figure.add_trace(trace, row=1, col=column)
        ticks = list(dict.fromkeys(point.x for point in found if point.panel == panel))
        at_ticks = {"tickvals": ticks, "ticktext": [_short(tick) for tick in ticks]} if log_x else {}
        figure.update_xaxes(title=x, type="log" if log_x else None, col=column, **at_ticks)
        figure.update_yaxes(title=y if column == 1 else None, type="log" if log_y else None, col=column)
    figure.update_layout(
        template="plotly_white", width=WIDTH * len(panels) + 190, height=HEIGHT,
        font={"family": "DejaVu Sans, sans-serif", "size": 12}, margin={"l": 60, "r": 10, "t": 40, "b": 60},
    )  # fmt: skip
    return figure


def _trace(points: Sequence[Point], line: str, colour: str, first: bool) -> go.Scatter:
    whiskers = [(point.y, point.low, point.high) for point in points]
    error = {
        "type": "data", "symmetric": False, "thickness": 1,
        "array": [0 if high is None else high - y for y, _, high in whiskers],
        "arrayminus": [0 if low is None else y - low for y, low, _ in whiskers],
    }  # fmt: skip
    is_reference = line in REFERENCES
    return go.Scatter(
        x=[point.x for point in points], y=[point.y for point in points], name=line, legendgroup=line,
        mode="lines" if is_reference else "lines+markers", showlegend=first,
        line={"color": "#444444" if is_reference else colour, "dash": "dash" if is_reference else "solid"},
        error_y=None if is_reference else error,
    )  # fmt: skip


def _short(tick: float | str) -> str:
    return f"{tick / 1024:.0f}k" if isinstance(tick, int | float) and tick >= 4096 else str(tick)


def write_images(figures: Mapping[Path, go.Figure]) -> None:
    """Draw figures as SVG, in a browser.

    Args:
        figures: Figures by the file to write.
    """
    for path, image in zip(figures, images(list(figures.values())), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(image, encoding="utf-8")
