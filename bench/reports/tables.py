"""A leaderboard as a terminal table, Markdown, CSV or JSON."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench import registry
from bench.reports.company import legend, sign
from bench.reports.html_tables import html_table
from bench.reports.overview import overview, overview_text
from bench.reports.row import Row
from bench.reports.row_marks import row_marks
from bench.results.csv_cells import csv_cell
from bench.results.run_texts import shots_text
from bench.spec.axes import AXES
from bench.toolkit.counted import counted
from bench.toolkit.versions import PROTOCOL

if TYPE_CHECKING:
    from rich.table import Table

COSTS = {axis.heading: axis.row_field for axis in AXES if axis.in_table}
"""Columns of costs with the fields of a row that they show."""
COLUMNS = (
    "task",
    "method",
    "shots",
    "score",
    "tier",
    "ranks",
    *COSTS,
    "pareto",
    "status",
)
LEFT = ("task", "backbone", "method", "budget", "tuned", "metric", "pareto", "precision", "device", "status")
"""Columns of words; numbers stand on the right."""
_FIELDS = json.JSONEncoder(separators=(",\n  ", ": ")).encode
_ITEMS = json.JSONEncoder(separators=(",\n   ", ": ")).encode


def number(value: float | None) -> str:
    """Three significant digits, without an exponent; a dash where there is none."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3 if abs(value) >= 0.1 else 4
    return f"{value:.{digits}f}"


def score(value: float | None, metric: str) -> str:
    """A score, or an end of its interval, with the decimals of its metric; a dash where there is none."""
    return "-" if value is None else registry.make_metric(metric).text(value)


def interval_text(row: Row) -> str:
    """The interval of a row's score, as " [79.3, 96.5]"; empty where there is none."""
    return "" if row.ci_low is None else f" [{score(row.ci_low, row.metric)}, {score(row.ci_high, row.metric)}]"


def metrics(rows: Sequence[Row]) -> list[str]:
    """The metrics of all rows with a score; none where nothing was scored."""
    return sorted({row.metric for row in rows if row.value is not None})


def labels(rows: Sequence[Row]) -> list[str]:
    """The metrics of all rows with a score, with their units and directions."""
    return [registry.make_metric(name).label for name in metrics(rows)]


def caption(rows: Sequence[Row]) -> str:
    """How to read a table of the rows: units, columns and marks."""
    units = " or ".join(labels(rows)) or "none yet"
    text = f"score: {units}, [95% interval]. Costs are those of one episode alone; encode is of support and queries."
    text += " tier: all of one differ from all of the next in paired tests; within one there may be no difference."
    text += " ranks: those that the tests leave open; a method at 0 shots counts at every number of shots."
    text += " pareto: nothing is at least as good and cheaper, in time until the first query or in peak memory."
    if any(row.templates > 1 for row in rows):
        text += " over templates: the mean over forms of the prompts, with the lowest and the highest score."
    if any(_marks(rows)):
        text += " queries: those of each class in an episode; rows of other numbers are not compared."
    if any(row.limit for row in rows):
        text += " [limit=N]: a quick look at N queries of a run, with costs measured once; compare whole runs."
    if any(row.break_even_queries is not None for row in rows):
        text += " break-even: queries from which on it costs less time in all than the method it is compared with."
    if any(row.protocol != PROTOCOL for row in rows):
        text += (
            f" protocol: the harness's; this program's is {PROTOCOL}, and rows of another are not comparable with it."
        )
    return f"{text} {legend(rows)}".rstrip()


def _columns(rows: Sequence[Row]) -> tuple[str, ...]:
    """The columns, with one for what not every table has."""
    columns = list(COLUMNS)
    if len({(row.task, row.backbone) for row in rows}) > len({row.task for row in rows}):
        columns.insert(columns.index("task") + 1, "backbone")
    if len(metrics(rows)) > 1:
        columns.insert(columns.index("score"), "metric")
    if any(row.budget for row in rows):
        columns.insert(columns.index("method") + 1, "budget")
    if any(row.tuning_trials for row in rows):
        columns.insert(columns.index("shots"), "tuned")
    if any(row.templates > 1 for row in rows):
        columns.insert(columns.index("score") + 1, "over templates")
    if any(row.break_even_queries is not None for row in rows):
        columns.insert(columns.index("status"), "break-even")
    if len({(row.task, row.ways) for row in rows}) > len({row.task for row in rows}):
        columns.insert(columns.index("shots") + 1, "ways")
    if len({row.precision for row in rows}) > 1:
        columns.insert(columns.index("status"), "precision")
    if len({row.device for row in rows if row.device}) > 1:
        columns.insert(columns.index("status"), "device")
    if any(row.protocol != PROTOCOL for row in rows):
        columns.insert(columns.index("status"), "protocol")
    return tuple(columns)


def _tasks(rows: Sequence[Row]) -> list[str]:
    """The task of each row, with what no column has, where rows of a task would have one name otherwise."""
    return [", ".join(filter(None, (row.task, mark))) for row, mark in zip(rows, _marks(rows), strict=True)]


def _marks(rows: Sequence[Row]) -> list[str]:
    return row_marks(rows, unnamed=("queries",))


def _cells(row: Row, task: str, columns: Sequence[str]) -> tuple[str, ...]:
    scored = score(row.value, row.metric)
    if interval := interval_text(row):
        scored += interval
    elif row.value is not None:
        scored += " (too few items)"
    cells = {
        "task": task,
        "backbone": row.backbone,
        "method": _method(row),
        "budget": row.budget,
        "tuned": f"{counted(row.tuning_trials, 'trial')}, {number(row.tuning_seconds)} s" if row.tuning_trials else "-",
        "shots": str(row.shots),
        "metric": "-" if row.value is None else row.metric,
        "score": scored,
        "over templates": row.over_templates or "-",
        "tier": row.tiers or "-",
        "ranks": row.ranks or "-",
        **{heading: number(getattr(row, field)) + sign(row, field) for heading, field in COSTS.items()},
        "break-even": number(row.break_even_queries) + sign(row, "break_even_queries"),
        "pareto": row.pareto,
        "ways": "all" if row.ways is None else str(row.ways),
        "precision": row.precision,
        "device": row.device,
        "protocol": str(row.protocol),
        "status": row.status,
    }
    return tuple(cells[column] for column in columns)


def _method(row: Row) -> str:
    """The method with the fields that differ from its defaults, and what a reader must know of it."""
    marks = [row.config] if row.config else []
    marks += [row.form] if row.form else []
    marks += ["transductive"] if row.transductive else []
    marks += ["no prior"] if "no prior" in row.class_embeddings else []
    return f"{row.method} [{','.join(marks)}]" if marks else row.method


def text_table(rows: Sequence[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Names of the columns that the rows need, and the text of each cell.

    Args:
        rows: Rows of a leaderboard.

    Returns:
        The columns, of which those in LEFT hold words and the others numbers, and the cells of each row.
    """
    columns = _columns(rows)
    return columns, [_cells(row, task, columns) for row, task in zip(rows, _tasks(rows), strict=True)]


def reasons(rows: Sequence[Row]) -> list[str]:
    """Why rows have no score or no tiers, which methods are untested, and how many records are not shown."""
    named = list(zip(_tasks(rows), rows, strict=True))
    lines = {f"{row.status}: {task} {row.method}: {row.reason}": None for task, row in named if row.reason}
    few = {
        f"{task} at {shots_text(row.shots)}: {row.too_few}": None
        for task, row in named
        if row.too_few and row.shots != 0
    }
    embedded = {
        f"{task} {row.method}: class embeddings: {row.class_embeddings}": None
        for task, row in named
        if row.class_embeddings
    }
    untested = {
        f"{row.method}: its code has not passed the contract suite ({row.contract}); bench test {row.method}": None
        for row in rows
        if row.contract not in {"", "passed"}
    }
    hidden = sum(row.others for row in rows)
    left = (
        [f"{hidden} further records of these runs are not shown: earlier versions, or fewer episodes"] if hidden else []
    )
    return [*lines, *few, *embedded, *untested, *left]


def _overview(rows: Sequence[Row]) -> list[str]:
    """Methods over tasks, where there are several of both."""
    found = overview(rows)
    return [] if found is None else [overview_text(found)]


def table(rows: Sequence[Row]) -> "Table":
    """A rich table; a rule between tasks."""
    from rich.table import Table  # other formats start without these libraries

    from bench.reports.terminal_tables import terminal_cell

    below = "\n".join(terminal_cell(line) for line in [caption(rows), *_overview(rows), *reasons(rows)])
    made = Table(caption=below, caption_justify="left")
    columns, texts = text_table(rows)
    for column in columns:
        made.add_column(column, justify="left" if column in LEFT else "right", no_wrap=True)
    for index, (row, cells) in enumerate(zip(rows, texts, strict=True)):
        last = index + 1 == len(rows) or (rows[index + 1].task, rows[index + 1].backbone) != (row.task, row.backbone)
        style = None if row.status == "ok" else "dim"
        made.add_row(*map(terminal_cell, cells), style=style, end_section=last)
    return made


def as_table(rows: Sequence[Row]) -> str:
    """The terminal table as plain text, for a file or a pipe."""
    from bench.reports.terminal_tables import plain_text

    return plain_text(table(rows))


def as_markdown(rows: Sequence[Row]) -> str:
    """A GitHub table."""
    from bench.reports.markdown import markdown_table, markdown_text

    columns, cells = text_table(rows)
    made = markdown_table(columns, cells, right=set(columns) - set(LEFT))
    more = [*_overview(rows), *reasons(rows)]
    lines = [markdown_text(caption(rows)), *(f"- {markdown_text(one)}" for one in more)]
    return "\n".join([made, "", *lines]) + "\n"


def as_html(rows: Sequence[Row]) -> str:
    """A table for notebooks, a fragment of HTML."""
    columns, cells = text_table(rows)
    return html_table(columns, cells, [caption(rows), *_overview(rows), *reasons(rows)])


def as_csv(rows: Sequence[Row]) -> str:
    """Comma-separated values with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(Row.model_fields), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells = {**row.model_dump(), "runs": " ".join(row.runs)}
        writer.writerow({name: csv_cell(cell) for name, cell in cells.items()})
    return text.getvalue()


def as_json(rows: Sequence[Row]) -> str:
    """A list of rows, laid out as ``json.dumps`` does with an indent of 1."""
    return "[\n" + ",\n".join(map(_json_row, rows)) + "\n]\n" if rows else "[]\n"


def _json_row(row: Row) -> str:
    """A row as JSON. With an indent the encoder of ``json`` is written in Python, and takes ten times as long."""
    fields = row.model_dump()
    lists = {name: fields[name] for name in fields if isinstance(fields[name], tuple)}
    text = _FIELDS({**fields, **dict.fromkeys(lists)})
    for name, items in lists.items():
        made = f"[\n   {_ITEMS(items)[1:-1]}\n  ]" if items else "[]"
        # Texts have no such quotes but with a backslash.
        text = text.replace(f'"{name}": null', f'"{name}": {made}', 1)
    return f" {{\n  {text[1:-1]}\n }}"


FORMATS: dict[str, Callable[[Sequence[Row]], str]] = {
    "table": as_table,
    "markdown": as_markdown,
    "csv": as_csv,
    "json": as_json,
}
