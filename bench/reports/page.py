"""A leaderboard as one HTML page that needs no network: its table, its charts, and the records behind each number."""

import base64
import gzip
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs
from pydantic import BaseModel, ConfigDict

from bench import registry
from bench.reports.rows import FRONTS, Row
from bench.reports.tables import labels, metrics, number, score
from bench.results.grouping import shots_rank
from bench.results.record import Record
from bench.spec.axes import AXES
from bench.version import __version__

Kind = Literal["text", "count", "number"]


@dataclass(frozen=True)
class Column:
    """A column of the table.

    field: of Row, what the column sorts by. description: below the table. kind: words, whole numbers as they
    are, or three digits of a number. first: the direction that the first click on its header sorts in. minor: left out
    on narrow screens. optional: left out where no row has it. across: shown only while results of several tasks are.
    """

    field: str
    title: str
    description: str = ""
    kind: Kind = "text"
    first: Literal["ascending", "descending"] = "ascending"
    minor: bool = False
    optional: bool = False
    across: bool = False


# The time until the first answer, which no terminal table shows, comes first and stays on narrow screens.
_SHOWN = sorted((axis for axis in AXES if axis.on_page), key=lambda axis: axis.in_table)
_COSTS = [
    Column(axis.row_field, axis.heading, axis.description, kind="number", minor=place > 0)
    for place, axis in enumerate(_SHOWN)
]
COLUMNS = (
    Column("task", "task", across=True),
    Column("method", "method"),
    Column("shots", "shots", "labelled examples per class", kind="count"),
    Column("metric", "metric", across=True, minor=True),
    Column("value", "score", kind="number", first="descending"),
    Column(
        "tier",
        "tier",
        "all of one differ from all of the next in paired tests; within one there may be no difference",
        kind="count",
        optional=True,
    ),
    *_COSTS,
    Column(
        "break_even_queries",
        "break-even",
        "queries from which on it costs less time in all than the method it is compared with",
        kind="number",
        optional=True,
        minor=True,
    ),
    Column("pareto", "pareto", "nothing is at least as good and cheaper, in time or in memory", minor=True),
    Column("status", "status", minor=True),
)


@dataclass(frozen=True)
class Whisker:
    """A score and its interval on the common scale of its task, in percent of the width."""

    low: float
    middle: float
    high: float


class _MetricData(BaseModel):
    """What the page's scripts read of a metric."""

    model_config = ConfigDict(frozen=True)

    label: str
    decimals: int
    higher_is_better: bool

    @classmethod
    def of(cls, name: str) -> "_MetricData":
        """Those of the metric that the registry knows by a name."""
        metric = registry.make_metric(name)
        return cls(label=metric.label, decimals=metric.decimals, higher_is_better=metric.higher_is_better)


class _CostData(BaseModel):
    """What the page's scripts read of an axis of cost: its field, heading, and the front of scores against it."""

    model_config = ConfigDict(frozen=True)

    field: str
    title: str
    unit: str
    description: str
    front: str


_COST_DATA = tuple(
    _CostData(field=axis.row_field, title=axis.title, unit=axis.unit, description=axis.description, front=axis.front)
    for axis in _SHOWN
)


class _Data(BaseModel):
    """What the page's scripts read: rows in the order of the table, and the records that they pool, by id."""

    model_config = ConfigDict(frozen=True)

    rows: tuple[Row, ...]
    records: dict[str, Record]
    metrics: dict[str, _MetricData]
    costs: tuple[_CostData, ...] = _COST_DATA


def page(rows: Sequence[Row], records: Sequence[Record]) -> str:
    """The page. ``records`` hold at least those that the rows pool; the same ones make the same page to the byte."""
    known = {record.id: record for record in records}
    pooled = {one: known[one] for row in rows for one in row.runs}
    environment = Environment(
        loader=PackageLoader("bench.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"number": number, "score": score}
    text: str = environment.get_template("page.html").render(
        version=__version__,
        columns=_columns(rows),
        rows=list(zip(rows, _whiskers(rows), strict=True)),
        settings=list(dict.fromkeys((row.task, row.backbone) for row in rows)),
        shots=sorted({row.shots for row in rows}, key=shots_rank),
        statuses=Counter(row.status for row in rows),
        units=labels(rows),
        fronts=list(FRONTS),
        finished=_latest(pooled.values()),
        data=_in_script(
            _Data(rows=tuple(rows), records=pooled, metrics={name: _MetricData.of(name) for name in metrics(rows)})
        ),
        plotly=_packed_plotly(),
    )
    return text


def _columns(rows: Sequence[Row]) -> list[Column]:
    several = len({(row.task, row.backbone) for row in rows}) > 1
    return [
        column
        for column in COLUMNS
        if (several or not column.across)
        and (not column.optional or any(getattr(row, column.field) is not None for row in rows))
    ]


def _whiskers(rows: Sequence[Row]) -> list[Whisker | None]:
    """Each row's interval on the scale from the lowest to the highest end of its task; None without a score."""
    ends: dict[tuple[str, ...], list[float]] = {}
    for row in rows:
        if row.value is not None:
            reach = row.ci95 or 0.0
            ends.setdefault((row.task, row.backbone, row.metric), []).extend((row.value - reach, row.value + reach))

    def whisker(row: Row) -> Whisker | None:
        if row.value is None:
            return None
        scale = ends[row.task, row.backbone, row.metric]
        low, width = min(scale), (max(scale) - min(scale)) or 1.0
        reach = row.ci95 or 0.0
        points = ((value - low) / width * 100 for value in (row.value - reach, row.value, row.value + reach))
        return Whisker(*points)

    return [whisker(row) for row in rows]


def _latest(records: Iterable[Record]) -> str:
    """When the latest of the runs was finished; empty where none says so."""
    finished = max((str(record.provenance.get("finished", "")) for record in records), default="")
    try:
        return datetime.fromisoformat(finished).strftime("%d %B %Y").lstrip("0")
    except ValueError:
        return ""


def _in_script(data: _Data) -> str:
    """JSON that no content of it can end the script element of; NaN and infinity are null."""
    # Episode scores are most of a record, and the page shows none of them.
    text = data.model_dump_json(exclude={"records": {"__all__": {"episode_scores"}}})
    # Outside of strings JSON has none of these characters, so that escapes keep its meaning.
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


@cache
def _packed_plotly() -> str:
    """Plotly's JavaScript, compressed to less than half even in base64; the page unpacks it."""
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode()
