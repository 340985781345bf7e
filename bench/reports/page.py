"""Leaderboard as one HTML page that works offline: table, charts, and the records behind each number."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bench.reports.company import legend
from bench.reports.fronts import FRONTS
from bench.reports.opening import OWN, opening
from bench.reports.page_data import ON_PAGE, packed_parts, packed_plotly, packed_rows
from bench.reports.row import Row
from bench.reports.tables import labels
from bench.reports.template import environment
from bench.results.record import Record
from bench.results.row_sample import Find, no_predictions, remembered
from bench.results.run_texts import shots_rank
from bench.toolkit.visible import LONGEST_CELL, shortened
from bench.version import __version__

Kind = Literal["text", "count", "number"]


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        field: Field of ``Row``, also the sort key.
        title: Heading.
        description: Explanation below the table.
        kind: Format: text, whole numbers, or numbers with three digits.
        first: Direction of the first sort.
        optional: Whether the column is left out where no row has a value.
        across: Whether the column is shown only together with several tasks.
        several: Whether the column is left out where all rows have one value.
    """

    field: str
    title: str
    description: str = ""
    kind: Kind = "text"
    first: Literal["ascending", "descending"] = "ascending"
    optional: bool = False
    across: bool = False
    several: bool = False


COLUMNS = (
    Column("task", "task", across=True),
    Column("method", "method"),
    Column("shots", "shots", "labelled examples per class", kind="count"),
    Column("metric", "metric", across=True, several=True),
    Column("value", "score", kind="number", first="descending"),
    Column(
        "over_templates",
        "over templates",
        "lowest and highest score with one of the forms of the prompts that the score is the mean over",
        optional=True,
    ),
    Column(
        "tiers",
        "tier",
        "all methods of one tier differ from all of the next in paired tests; within a tier there may be no difference",
        kind="count",
        optional=True,
    ),
    Column(
        "ranks",
        "ranks",
        "ranks that the tests leave open; a method at 0 shots counts at every number of shots",
        kind="count",
        optional=True,
    ),
    *(Column(axis.row_field, axis.heading, axis.description, kind="number") for axis in ON_PAGE),
    Column(
        "break_even_queries",
        "break-even",
        "number of queries above which it takes less time in total than the method it is compared with",
        kind="number",
        optional=True,
    ),
    Column("pareto", "pareto", "no other method is at least as good and cheaper, in time or in memory"),
    Column("device", "device", "model of the device that costs were measured on", several=True),
    Column(
        "protocol", "protocol", "version of the harness; scores of two versions are not comparable", kind="count",
        several=True,
    ),
    Column("status", "status"),
)  # fmt: skip


def page(
    rows: Sequence[Row], records: Sequence[Record], find: Find = no_predictions, claims: str = "", history: str = "",
    highlight: Sequence[str] = (),
) -> str:  # fmt: skip
    """Render the page; equal rows and records give the same page to the byte.

    Args:
        rows: Rows of the leaderboard.
        records: Records; those of the rows at least.
        find: Looks up the predictions of a record, for confusion matrices and comparisons by queries.
        claims: Section of claims, a fragment of HTML; empty for none.
        history: Section of a history, likewise.
        highlight: Methods that charts never show in grey, beside FAAST.

    Returns:
        The HTML text.
    """
    known = {record.id: record for record in records}
    pooled = {
        one: known[one].model_copy(update={"reason": shortened(known[one].reason, LONGEST_CELL)})
        for row in rows
        for one in row.runs
    }
    templates, highlights, look_up = environment(), (OWN, *highlight), remembered(find)
    text: str = templates.get_template("page.html").render(
        version=__version__,
        columns=_columns(rows),
        rows=rows,
        settings=list(dict.fromkeys((row.task, row.backbone) for row in rows)),
        shots=sorted({row.shots for row in rows}, key=shots_rank),
        statuses=Counter(row.status for row in rows),
        units=labels(rows),
        fronts=list(FRONTS),
        company=legend(rows),
        opening=opening(rows, pooled, look_up, highlights),
        costs=ON_PAGE,
        highlights=highlights,
        claims=claims,
        history=history,
        finished=_latest(pooled.values()),
        data=packed_rows(rows, pooled),
        parts=packed_parts(rows, pooled, look_up),
        plotly=packed_plotly(),
    )
    return text


def _columns(rows: Sequence[Row]) -> list[Column]:
    several = len({(row.task, row.backbone) for row in rows}) > 1
    return [
        column
        for column in COLUMNS
        if (several or not column.across)
        and (not column.optional or any(getattr(row, column.field) not in (None, "") for row in rows))
        # A row without costs has no device.
        and (not column.several or len({value for row in rows if (value := getattr(row, column.field))}) > 1)
    ]


def _latest(records: Iterable[Record]) -> str:
    """Date of the latest run; empty if no record has one."""
    finished = max((str(record.provenance.get("finished", "")) for record in records), default="")
    try:
        return datetime.fromisoformat(finished).strftime("%d %B %Y").lstrip("0")
    except ValueError:
        return ""
