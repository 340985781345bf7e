"""Figures of docs/results, made anew from stores: ``python docs/results/figures.py``, after regenerate.py.

A page marks the place of a figure by ``<!-- figure: suite=NAME task=TASK x=adapt_seconds shots=5 -->`` or, for scores
over numbers of shots, ``x=shots``, and ``<!-- figure: end -->``. Each is an SVG in docs/images, drawn by Plotly in an
installed browser (chromium or google-chrome) from the records in ``results/NAME``.
"""

import argparse
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from playwright.sync_api import Browser, Playwright, sync_playwright
from plotly.offline import get_plotlyjs

import bench
from bench import registry
from bench.reports.row import Row
from bench.results.run_texts import shots_rank

ROOT = Path(__file__).parents[2]
MARKED = re.compile(r"(<!-- figure: (?P<fields>suite=[^>]*?) -->\n)(?P<figure>.*?)(<!-- figure: end -->)", re.DOTALL)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT, ROW = 960, 560, 20
"""Pixels of a figure, and of each line of its legend, by which it is higher where they are many."""
COLOURS = {
    "closed_form": "#1f5fa8", "gradient": "#b4500f", "memory": "#16785a", "context": "#8a3a8f", "none": "#5a5f66"
}  # fmt: skip
"""Colours by family, those of the page."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon", "triangle-down", "pentagon")
DASHES = ("solid", "dash", "dot", "dashdot")
DRAW = """async (figure) => {
  const place = document.body.appendChild(document.createElement("div"));
  await Plotly.newPlot(place, figure.data, figure.layout);
  const {width, height} = figure.layout;
  const address = await Plotly.toImage(place, {format: "svg", width, height});
  const image = decodeURIComponent(address.slice(address.indexOf(",") + 1));
  return image.replaceAll(image.match(/id="defs-(\\w+)"/)[1], "figure").replace(/ trace[0-9a-f]{6}/g, " trace");
}"""
"""Names within an SVG have random parts, which would make every figure another file each time."""


@dataclass(frozen=True)
class Figure:
    """Place of a figure in a page.

    Attributes:
        suite: Name of the suite.
        task: Name of the task, as in tables.
        x: "adapt_seconds", or "shots".
        shots: Number of shots of a figure over seconds; methods without examples are in all of them.
    """

    suite: str
    task: str
    x: str
    shots: str

    @classmethod
    def parse(cls, fields: str) -> "Figure":
        """Read the fields of a mark.

        Args:
            fields: The fields.

        Returns:
            The place.

        Raises:
            ValueError: For missing or other fields.
        """
        given = dict(field.split("=", 1) for field in fields.split())
        needed = {"suite", "task", "x"} | ({"shots"} if given.get("x") == "adapt_seconds" else set())
        if set(given) != needed or given["x"] not in {"adapt_seconds", "shots"}:
            forms = "suite, task and x=shots, or x=adapt_seconds and shots"
            raise ValueError(f"a figure is marked by {forms}, got {fields}")
        return cls(given["suite"], given["task"], given["x"], given.get("shots", ""))

    @property
    def name(self) -> str:
        """Name of its file."""
        parts = (Path(self.suite).stem, self.task, self.x.replace("_", "-"), self.shots)
        return "-".join(filter(None, parts)) + ".svg"

    @property
    def caption(self) -> str:
        """What it shows, in one line."""
        if self.x == "shots":
            return f"Scores on {self.task} by shots per class"
        return f"Scores on {self.task} by seconds to adapt, {self.shots} shots per class"

    def drawn(self, rows: Sequence[Row]) -> go.Figure:
        """The figure.

        Args:
            rows: Rows of the suite.

        Returns:
            Plotly's figure.

        Raises:
            ValueError: Where no row with a score is to be shown.
        """
        shown = [row for row in rows if row.task == self.task and row.value is not None]
        if self.x == "shots":
            groups = _by_method(shown)
            names = _short(groups)
            traces = [_over_shots(number, names[name], each) for number, (name, each) in enumerate(groups.items())]
        else:
            at_shots = [row for row in shown if str(row.shots) in {self.shots, "0"}]
            names = _short(map(_name, at_shots))
            traces = [_over_seconds(number, names[_name(row)], row) for number, row in enumerate(at_shots)]
        if not traces:
            raise ValueError(f"the suite {self.suite} has no score on {self.task} to draw; run it first")
        return go.Figure(traces, _layout(shown, self, len(traces)))


def _name(row: Row) -> str:
    method = f"{row.method} ({row.form})" if row.form else row.method
    return f"{method} [{row.config}]" if row.config else method


def _short(names: Iterable[str]) -> dict[str, str]:
    """Names without settings where they are the only ones of their method, which the page's table has in full."""
    listed = list(names)
    bare = {name: name.partition(" [")[0] for name in listed}
    methods = Counter(bare.values())
    return {name: name if methods[method] > 1 else method for name, method in bare.items()}


def _colour(row: Row) -> str:
    plugin = registry.get("methods", registry.method_name(row.method)[0])
    return COLOURS[registry.family_of(plugin, imports=True) or "none"]


def _by_method(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows of each method with its settings, by shots; one without examples is at all numbers of shots."""
    # Searches find other settings at each number of shots: of a method that was tuned, each has its best row.
    tuned = {row.method for row in rows if row.tuning_trials}
    groups: dict[str, dict[object, Row]] = {}
    for row in rows:  # the best first
        groups.setdefault(row.method if row.method in tuned else _name(row), {}).setdefault(row.shots, row)
    every = sorted({row.shots for row in rows} - {0}, key=shots_rank)

    def over_shots(by_shots: dict[object, Row]) -> list[Row]:
        always = by_shots.get(0)
        if always is not None:
            return [always.model_copy(update={"shots": shots}) for shots in every]
        return [by_shots[shots] for shots in every if shots in by_shots]

    return {name: over_shots(group) for name, group in groups.items()}


def _interval(rows: Sequence[Row]) -> dict[str, Any]:
    """Error bars of 95% intervals."""
    value = [row.value or 0.0 for row in rows]
    low = [score if row.ci_low is None else row.ci_low for row, score in zip(rows, value, strict=True)]
    high = [score if row.ci_high is None else row.ci_high for row, score in zip(rows, value, strict=True)]
    return {
        "type": "data",
        "array": [end - score for end, score in zip(high, value, strict=True)],
        "arrayminus": [score - end for end, score in zip(low, value, strict=True)],
        "thickness": 1,
        "width": 2,
    }


def _over_seconds(number: int, name: str, row: Row) -> go.Scatter:
    # A method that does not adapt has no place on a logarithmic axis; the least of a millisecond stands for it.
    seconds = max(row.adapt_seconds or 0.0, 1e-3)
    return go.Scatter(
        x=[seconds], y=[row.value], name=name, mode="markers", error_y=_interval([row]),
        marker={"color": _colour(row), "symbol": SYMBOLS[number % len(SYMBOLS)], "size": 10},
    )  # fmt: skip


def _over_shots(number: int, name: str, rows: Sequence[Row]) -> go.Scatter:
    return go.Scatter(
        x=[str(row.shots) for row in rows], y=[row.value for row in rows], name=name, mode="lines+markers",
        line={"color": _colour(rows[0]), "dash": DASHES[number // len(SYMBOLS) % len(DASHES)]},
        marker={"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 8},
    )  # fmt: skip


def _layout(rows: Sequence[Row], figure: Figure, entries: int) -> dict[str, Any]:
    metric = registry.make_metric(rows[0].metric).label
    shots = sorted({row.shots for row in rows} - {0}, key=shots_rank)
    by_shots = {"title": "shots per class", "type": "category", "categoryarray": [str(each) for each in shots]}
    by_seconds = {"title": "seconds to adapt (a millisecond or less at the left edge)", "type": "log"}
    return {
        "title": figure.caption,
        "width": WIDTH,
        "height": max(HEIGHT, 160 + ROW * entries),
        "showlegend": True,
        "template": "plotly_white",
        "font": {"family": "sans-serif"},
        "xaxis": by_shots if figure.x == "shots" else by_seconds,
        "yaxis": {"title": metric},
    }


def places(pages: Sequence[Path]) -> Iterator[tuple[Path, Figure]]:
    """All figures of some pages.

    Args:
        pages: Markdown files.

    Yields:
        Page and figure.
    """
    for page in pages:
        for found in MARKED.finditer(page.read_text(encoding="utf-8")):
            yield page, Figure.parse(found["fields"])


def opened_browser(playwright: Playwright) -> Browser:
    """An installed browser.

    Args:
        playwright: The driver.

    Returns:
        The browser, opened.

    Raises:
        FileNotFoundError: Without one.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise FileNotFoundError(f"figures are drawn in a browser; install one of {', '.join(BROWSERS)}")
    return playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])


def images(figures: Sequence[go.Figure]) -> list[str]:
    """Figures as SVG, drawn in a browser.

    Args:
        figures: Plotly's figures.

    Returns:
        The images.

    Raises:
        FileNotFoundError: Without a browser.
    """
    with sync_playwright() as playwright:
        page = opened_browser(playwright).new_page()
        page.add_script_tag(content=get_plotlyjs())
        return [page.evaluate(DRAW, json.loads(figure.to_json())) for figure in figures]


def main() -> None:
    """Draw the figures of the suites that are named, by default of all with a store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", help="Suites; by default all that pages show and that have records.")
    parser.add_argument("--root", type=Path, default=ROOT, help="Folder of docs/results and results.")
    options = parser.parse_args()
    found = list(places(sorted((options.root / "docs" / "results").glob("*.md"))))
    recorded = [figure.suite for _, figure in found if (options.root / "results" / Path(figure.suite).stem).is_dir()]
    wanted = set(options.suites or recorded)
    if unknown := wanted - {figure.suite for _, figure in found}:
        parser.error(f"no page has a figure of {', '.join(sorted(unknown))}")
    rows = {suite: bench.load(options.root / "results" / Path(suite).stem).rows() for suite in wanted}
    chosen = [figure for _, figure in found if figure.suite in wanted]
    folder = options.root / "docs" / "images"
    folder.mkdir(exist_ok=True)
    for figure, image in zip(chosen, images([each.drawn(rows[each.suite]) for each in chosen]), strict=True):
        (folder / figure.name).write_text(image, encoding="utf-8")
    for page in {page for page, figure in found if figure in chosen}:
        text = page.read_text(encoding="utf-8")
        page.write_text(MARKED.sub(lambda mark: _filled(mark, chosen), text), encoding="utf-8")


def _filled(mark: re.Match[str], drawn: Sequence[Figure]) -> str:
    """A marked place with its image, or as it is where it was not drawn."""
    figure = Figure.parse(mark["fields"])
    return f"{mark[1]}\n![{figure.caption}](../images/{figure.name})\n\n{mark[4]}" if figure in drawn else mark[0]


if __name__ == "__main__":
    main()
