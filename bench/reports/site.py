"""Static site of a leaderboard: an index, a page for each task and method, and a feed of changes, without a script."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from xml.etree import ElementTree

from bench import registry
from bench.reports.row import Row, has_score
from bench.reports.row_marks import PARTS, row_marks
from bench.reports.tables import LEFT, caption, interval_text, labels, reasons, score, text_table
from bench.reports.template import environment
from bench.reports.xml_text import xml_text
from bench.results.record import Record
from bench.results.run_texts import shots_text
from bench.toolkit.visible import shortened
from bench.version import __version__

MOST_CHANGES = 50
"""Largest number of items of the feed."""
HISTORY = "history.html"
"""Name of a page of results over time in the site's folder; bench history writes it."""
ON_INDEX = 10
"""Number of changes on the index."""
_SLUG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,80}")
"""Names that are file names everywhere."""


@dataclass(frozen=True)
class Line:
    """A row as a line of a page.

    Attributes:
        anchor: Name of the line in its page.
        cells: Texts by column.
        links: Addresses of some columns, relative to the site's root.
    """

    anchor: str
    cells: tuple[str, ...]
    links: Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """A result that was recorded anew.

    Attributes:
        name: Task, method and shots, and what else tells it apart.
        score: Its score, or its status.
        text: Rank and costs.
        page: Address of its line, relative to the site's root.
        finished: When its last run ended.
    """

    name: str
    score: str
    text: str
    page: str
    finished: datetime


def slug(name: str) -> str:
    """The file name of a page, without its ending.

    Args:
        name: Name of a task or a method.

    Returns:
        The name where it can be one; else its usual characters and eight digits of its hash.
    """
    if _SLUG.fullmatch(name):
        return name
    return f"{re.sub(r'[^A-Za-z0-9_]+', '-', name)[:60].strip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def site(
    rows: Sequence[Row], records: Sequence[Record], board: str, address: str = "", has_history: bool = False
) -> dict[str, str]:
    """The files of the site; equal rows and records give the same files to the byte.

    Args:
        rows: Rows of the leaderboard.
        records: Records; those of the rows at least.
        board: The interactive page.
        address: Where the site will be, for the links of its feed; empty for links relative to the feed.
        has_history: Whether the folder has a page of results over time, ``HISTORY``, to link to.

    Returns:
        Texts by path, relative to the site's folder.
    """
    pages = _Pages(rows, has_history)
    changes = _changes(rows, {record.id: record for record in records})
    tasks = _grouped(rows, _task_name)
    methods = dict(sorted(_grouped(rows, lambda row: row.method).items()))
    files = {
        "index.html": pages.index(tasks, methods, changes),
        "board.html": board,
        "changes.xml": _feed(changes, address),
        # GitHub Pages serves the files as they are.
        ".nojekyll": "",
    }
    files |= {_task_page(own[0]): pages.results(name, "", own) for name, own in tasks.items()}
    files |= {_method_page(name): pages.results(name, _summary(name), own) for name, own in methods.items()}
    return files


def _grouped(rows: Sequence[Row], name_of: Callable[[Row], str]) -> dict[str, list[Row]]:
    """Rows by name, in their order."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(name_of(row), []).append(row)
    return groups


def _task_name(row: Row) -> str:
    return f"{row.task} on {row.backbone}"


def _task_page(row: Row) -> str:
    return f"tasks/{slug(_task_name(row))}.html"


def _method_page(name: str) -> str:
    return f"methods/{slug(name)}.html"


def _anchor(row: Row) -> str:
    """A row over templates has the runs of the rows of each template."""
    return f"run-{row.runs[0]}" + "-templates" * (row.templates > 1)


def _summary(method: str) -> str:
    """A method in one line; empty where it is not installed."""
    name = method.partition("@")[0]
    return registry.get("methods", name).summary() if name in registry.find("methods") else ""


class _Pages:
    """Pages from templates."""

    def __init__(self, rows: Sequence[Row], has_history: bool) -> None:
        self._render: Callable[..., str] = environment().get_template("site.html").render
        history = HISTORY if has_history else ""
        self._shared = {"version": __version__, "words": LEFT, "units": labels(rows), "history": history}

    def index(
        self, tasks: Mapping[str, Sequence[Row]], methods: Mapping[str, Sequence[Row]], changes: Sequence["Change"]
    ) -> str:
        """The index: tasks with the methods that are first by score, methods, and the latest changes."""
        return self._render(
            **self._shared, root="", title="Leaderboard", summary="", lines=[], columns=(), notes=[],
            tasks=[(name, _task_page(own[0]), len(own), _best(own)) for name, own in tasks.items()],
            methods=[(name, _method_page(name), len(own), _summary(name)) for name, own in methods.items()],
            changes=changes[:ON_INDEX],
        )  # fmt: skip

    def results(self, title: str, summary: str, rows: Sequence[Row]) -> str:
        """The page of a task or a method: its rows."""
        columns, cells = text_table(rows)
        lines = [
            Line(_anchor(row), texts, {"task": _task_page(row), "method": _method_page(row.method)})
            for row, texts in zip(rows, cells, strict=True)
        ]
        return self._render(
            **self._shared, root="../", title=title, summary=summary, lines=lines, columns=columns,
            notes=[caption(rows), *reasons(rows)], tasks=[], methods=[], changes=[],
        )  # fmt: skip


def _best(rows: Sequence[Row]) -> list[tuple[str, Row, str, str]]:
    """The first row at each number of shots, with its score and the page of its method."""
    found: dict[str, Row] = {}
    for row, mark in zip(rows, row_marks(rows, unnamed=("ways", "queries")), strict=True):
        if has_score(row):
            found.setdefault(", ".join(filter(None, (shots_text(row.shots), mark))), row)
    return [(shots, row, _score(row), _method_page(row.method)) for shots, row in found.items()]


def _score(row: Row) -> str:
    """The score with its interval; the status where there is none."""
    if row.value is None:
        return row.status.replace("_", " ")
    return score(row.value, row.metric) + interval_text(row)


def _changes(rows: Sequence[Row], records: Mapping[str, Record]) -> list[Change]:
    """Results by the time of their last run, the latest first; without those whose records have no time."""
    found = []
    for row, mark in zip(rows, row_marks(rows, unnamed=PARTS), strict=True):
        times = [time for one in row.runs if (time := _finished(records[one])) is not None]
        if times:
            found.append(_change(row, mark, max(times)))
    return sorted(found, key=lambda change: (-change.finished.timestamp(), change.page))[:MOST_CHANGES]


def _change(row: Row, mark: str, finished: datetime) -> Change:
    shots = shots_text(row.shots)
    parts = [row.reason or "", f"ranks {row.ranks}" if row.ranks else "", f"{row.episodes} episodes"]
    name = ", ".join(part for part in (f"{row.task}: {row.method_text}", row.budget, shots, mark) if part)
    text = "; ".join(shortened(part, 300) for part in parts if part)
    return Change(name, _score(row), text, f"{_task_page(row)}#{_anchor(row)}", finished)


def _finished(record: Record) -> datetime | None:
    """When a record's run ended; None where it does not say, or not with a time zone."""
    try:
        time = datetime.fromisoformat(str(record.provenance.get("finished", "")))
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


def _feed(changes: Sequence[Change], address: str) -> str:
    """The changes as RSS 2.0."""
    rss = ElementTree.Element("rss", version="2.0")
    channel = ElementTree.SubElement(rss, "channel")
    about = {"title": "Leaderboard", "link": address or "index.html", "description": "Results as they are recorded"}
    for name, text in about.items():
        ElementTree.SubElement(channel, name).text = text
    for change in changes:
        item = ElementTree.SubElement(channel, "item")
        ElementTree.SubElement(item, "title").text = xml_text(f"{change.name}: {change.score}")
        ElementTree.SubElement(item, "link").text = xml_text(address + change.page)
        ElementTree.SubElement(item, "description").text = xml_text(change.text)
        ElementTree.SubElement(item, "pubDate").text = format_datetime(change.finished)
        # A result that is recorded again is a further item.
        ElementTree.SubElement(item, "guid", isPermaLink="false").text = xml_text(
            f"{change.page} {change.finished.isoformat()}"
        )
    ElementTree.indent(rss)
    feed: bytes = ElementTree.tostring(rss, encoding="utf-8", xml_declaration=True)
    return feed.decode() + "\n"
