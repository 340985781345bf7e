"""An error report as a terminal table, Markdown, CSV, JSON or a page with thumbnails."""

import base64
import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

from PIL.Image import Image

from bench.contracts.errors import UsageError
from bench.reports.confusion import MOST_CLASSES, Confusion
from bench.reports.markdown import markdown_table, markdown_text
from bench.reports.query_errors import ErrorReport, QueryError
from bench.reports.template import environment
from bench.reports.terminal_tables import terminal_table
from bench.results.csv_cells import csv_cell
from bench.results.run_texts import several_shots_text
from bench.toolkit.counted import counted
from bench.toolkit.visible import shortened

HEADER = ("wrong", "item", "label", "predictions", "row")
LONGEST = 80
"""Most characters of an item in a table; CSV, JSON and the page have it whole."""
THUMBNAIL = 96
"""Pixels of the longer side of a thumbnail."""


def caption(report: ErrorReport) -> str:
    """What the report is of, and how it is ordered."""
    lines = (
        f"{report.method} on {report.task}, {report.backbone}, {several_shots_text(report.shots)}: "
        f"{report.wrong:,} of {counted(report.answers, 'answer')} {'is' if report.wrong == 1 else 'are'} wrong, to "
        f"{counted(report.queries, 'query', 'queries')} in {counted(len(report.runs), 'run')}. "
        "Order: the share of wrong answers, by the lower end of its 95% interval. predictions: wrong ones, with their "
        "numbers. row: in the query pool."
    )
    if report.without_classes:
        lines += f" {report.without_classes} of the runs are of earlier programs and have no predicted classes."
    return lines


def confusion_of(report: ErrorReport) -> Confusion:
    """The confusion matrix of a report.

    Args:
        report: The report.

    Returns:
        The matrix.

    Raises:
        UsageError: If no record has predicted classes.
    """
    if report.confusion is None:
        raise UsageError(
            f"the runs of {report.method} on {report.task} are of earlier programs and have no predicted classes; run "
            "them again with --force"
        )
    return report.confusion


def _predictions(one: QueryError) -> str:
    return ", ".join(f"{name} {number}" for name, number in one.predictions.items()) or "-"


def _cells(report: ErrorReport) -> list[list[str]]:
    return [
        [f"{one.wrong} of {one.answers}", shortened(" ".join(one.item.split()), LONGEST), one.label, _predictions(one),
         str(one.query)]
        for one in report.listed
    ]  # fmt: skip


def _confusion_cells(found: Confusion) -> tuple[list[str], list[list[str]], str]:
    """Header, cells and caption of a matrix, or of the most frequent confusions where it would be too wide."""
    names = [name.strip() for name in found.classes]
    if len(names) <= MOST_CLASSES:
        cells = [[name, *map(str, row)] for name, row in zip(names, found.counts.tolist(), strict=True)]
        return ["label", *names], cells, "Rows: right classes; columns: predicted classes; numbers of answers."
    pairs = [
        [true.strip(), predicted.strip(), f"{wrong} of {all_}"]
        for true, predicted, wrong, all_ in found.pairs()[:MOST_CLASSES]
    ]
    note = f"The most frequent confusions of {len(names)} classes; csv, json and html have the whole matrix."
    return ["label", "prediction", "answers"], pairs, note


def as_table(report: ErrorReport, confusion: bool) -> str:
    """The terminal table as plain text."""
    text = terminal_table(HEADER, _cells(report), caption(report))
    return text + terminal_table(*_confusion_cells(confusion_of(report))) if confusion else text


def as_markdown(report: ErrorReport, confusion: bool) -> str:
    """A GitHub table."""
    parts = [markdown_table(HEADER, _cells(report), right=("row",)), markdown_text(caption(report))]
    if confusion:
        header, cells, note = _confusion_cells(confusion_of(report))
        parts += [markdown_table(header, cells, right=header[1:]), markdown_text(note)]
    return "\n\n".join(parts) + "\n"


def as_csv(report: ErrorReport, confusion: bool) -> str:
    """Comma-separated values: a line for each query, or for each pair of classes of the confusion matrix."""
    if confusion:
        found = confusion_of(report)
        header = ["label", "prediction", "answers"]
        lines: list[list[Any]] = [
            [true, predicted, int(found.counts[row, column])]
            for row, true in enumerate(found.classes)
            for column, predicted in enumerate(found.classes)
        ]
    else:
        header = ["query", "item", "label", "predictions", "wrong", "answers"]
        lines = [[one.query, one.item, one.label, _predictions(one), one.wrong, one.answers] for one in report.listed]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *([csv_cell(cell) for cell in line] for line in lines)])
    return text.getvalue()


def as_json(report: ErrorReport, confusion: bool) -> str:
    """An object with the queries, and the confusion matrix where it is wanted."""
    content: dict[str, Any] = {
        "task": report.task, "backbone": report.backbone, "method": report.method, "shots": report.shots,
        "runs": report.runs, "wrong": report.wrong, "answers": report.answers, "queries": report.queries,
        "errors": [
            {"query": one.query, "item": one.item, "label": one.label, "predictions": one.predictions,
             "wrong": one.wrong, "answers": one.answers}
            for one in report.listed
        ],
    }  # fmt: skip
    if confusion:
        found = confusion_of(report)
        content["confusion"] = {"classes": found.classes, "counts": found.counts.tolist()}
    return json.dumps(content, indent=1) + "\n"


def as_html(report: ErrorReport, confusion: bool) -> str:
    """One page that works offline, with thumbnails of images inside it."""
    templates = environment()
    found = confusion_of(report) if confusion else None
    text: str = templates.get_template("errors.html").render(
        title=f"{report.method} on {report.task}",
        caption=caption(report),
        rows=[(one, _predictions(one), None if one.image is None else _thumbnail(one.image)) for one in report.listed],
        classes=[name.strip() for name in found.classes] if found else [],
        counts=_shaded(found) if found else [],
    )
    return text


def _shaded(found: Confusion) -> Sequence[Sequence[tuple[int, float]]]:
    """Counts with their shares of the right class."""
    totals = found.counts.sum(axis=1, keepdims=True).clip(min=1)
    shares = found.counts / totals
    return [
        list(zip(row, share, strict=True)) for row, share in zip(found.counts.tolist(), shares.tolist(), strict=True)
    ]


def _thumbnail(image: Image) -> str:
    """A small copy of an image as a data URI."""
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    content = io.BytesIO()
    small.save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


FORMATS: dict[str, Callable[[ErrorReport, bool], str]] = {
    "table": as_table,
    "markdown": as_markdown,
    "csv": as_csv,
    "json": as_json,
    "html": as_html,
}
