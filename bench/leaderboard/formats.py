"""A leaderboard as a terminal table, Markdown, CSV or JSON."""

import csv
import io
import json
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.leaderboard.rows import Row

CAPTION = "score: accuracy in %, ± 95% interval. Costs are those of one episode alone."
COLUMNS = ("task", "method", "shots", "score", "encode s", "adapt s", "query ms", "peak MB", "status")


def _number(value: float | None) -> str:
    """Three significant digits, without an exponent."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3 if abs(value) >= 0.1 else 4
    return f"{value:.{digits}f}"


def _cells(row: Row) -> tuple[str, ...]:
    score = "-" if row.value is None else f"{row.value:.1f}"
    if row.ci95 is not None:
        score += f" ± {row.ci95:.1f}"
    method = f"{row.method} [{row.config}]" if row.config else row.method
    costs = (row.encode_seconds, row.adapt_seconds, row.query_milliseconds, row.peak_memory_mb)
    return (row.task, method, str(row.n_shot), score, *map(_number, costs), row.status)


def reasons(rows: Sequence[Row]) -> list[str]:
    """Why rows have no score, each reason once."""
    told = {f"{row.status}: {row.task} {row.method}: {row.reason}": None for row in rows if row.reason}
    return list(told)


def table(rows: Sequence[Row]) -> Table:
    """A rich table; a rule between tasks."""
    caption = "\n".join([CAPTION, *reasons(rows)])
    made = Table(caption=escape(caption), caption_justify="left")
    for index, column in enumerate(COLUMNS):
        made.add_column(column, justify="right" if 2 <= index <= 7 else "left", no_wrap=True)
    for index, row in enumerate(rows):
        last = index + 1 == len(rows) or (rows[index + 1].task, rows[index + 1].backbone) != (row.task, row.backbone)
        made.add_row(*map(escape, _cells(row)), end_section=last)
    return made


def as_table(rows: Sequence[Row]) -> str:
    """The terminal table as plain text, for a file or a pipe."""
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
    console.print(table(rows))
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def as_markdown(rows: Sequence[Row]) -> str:
    """A GitHub table."""
    lines = [
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "|".join("---:" if 2 <= i <= 7 else "---" for i in range(9)) + "|",
    ]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(row)) + " |" for row in rows]
    return "\n".join([*lines, "", CAPTION, *(f"- {reason}" for reason in reasons(rows))]) + "\n"


def as_csv(rows: Sequence[Row]) -> str:
    """Comma-separated values with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(Row.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.model_dump() for row in rows)
    return text.getvalue()


def as_json(rows: Sequence[Row]) -> str:
    """A list of rows."""
    return json.dumps([row.model_dump() for row in rows], indent=1) + "\n"


FORMATS: dict[str, Callable[[Sequence[Row]], str]] = {
    "table": as_table,
    "markdown": as_markdown,
    "csv": as_csv,
    "json": as_json,
}
