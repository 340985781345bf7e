"""Leaderboard as one HTML page that works offline: table, charts, and the records behind each number."""

import base64
import gzip
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Literal

from plotly.offline import get_plotlyjs
from pydantic import BaseModel, ConfigDict

from bench import registry
from bench.contracts.errors import BenchWarning, StoreError
from bench.reports.company import legend, sign
from bench.reports.confusion import Confusion
from bench.reports.rows import FRONTS, LONGEST, Row
from bench.reports.tables import labels, metrics, number, score
from bench.reports.template import environment
from bench.results.grouping import shots_rank
from bench.results.record import Record
from bench.results.row_sample import Find
from bench.spec.axes import AXES
from bench.toolkit.visible import shortened, visible, visible_json
from bench.version import __version__

Kind = Literal["text", "count", "number"]
MOST_MATRICES = 200
"""Largest number of records of a page with confusion matrices: the predictions of more take long to read."""


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        field: Field of ``Row``, also the sort key.
        title: Heading.
        description: Explanation below the table.
        kind: Format: text, whole numbers, or numbers with three digits.
        first: Direction of the first sort.
        minor: Whether the column is left out on narrow screens.
        optional: Whether the column is left out where no row has a value.
        across: Whether the column is shown only together with several tasks.
        several: Whether the column is left out where all rows have one value.
    """

    field: str
    title: str
    description: str = ""
    kind: Kind = "text"
    first: Literal["ascending", "descending"] = "ascending"
    minor: bool = False
    optional: bool = False
    across: bool = False
    several: bool = False


# The time until the first answer, which is in no terminal table, comes first and stays on narrow screens.
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
        minor=True,
        optional=True,
    ),
    *_COSTS,
    Column(
        "break_even_queries",
        "break-even",
        "number of queries above which it takes less time in total than the method it is compared with",
        kind="number",
        optional=True,
        minor=True,
    ),
    Column("pareto", "pareto", "no other method is at least as good and cheaper, in time or in memory", minor=True),
    Column("device", "device", "model of the device that costs were measured on", minor=True, several=True),
    Column(
        "protocol", "protocol", "version of the harness; scores of two versions are not comparable", kind="count",
        minor=True, several=True,
    ),
    Column("status", "status", minor=True),
)  # fmt: skip


@dataclass(frozen=True)
class Whisker:
    """A score and its interval on the common scale of its task.

    Attributes:
        low: Lower end, in percent of the width.
        middle: Score, in percent of the width.
        high: Upper end, in percent of the width.
    """

    low: float
    middle: float
    high: float


class _MetricData(BaseModel):
    """Data of a metric for the page's scripts."""

    model_config = ConfigDict(frozen=True)

    label: str
    decimals: int
    higher_is_better: bool

    @classmethod
    def of(cls, name: str) -> "_MetricData":
        """Data of an installed metric."""
        metric = registry.make_metric(name)
        return cls(label=metric.label, decimals=metric.decimals, higher_is_better=metric.higher_is_better)


class _CostData(BaseModel):
    """Data of an axis of cost for the page's scripts: field, heading, and the front of scores against it."""

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


class _ConfusionData(BaseModel):
    """A confusion matrix for the page's scripts: classes, and ``[true, predicted, answers]`` where there are any."""

    model_config = ConfigDict(frozen=True)

    classes: tuple[str, ...]
    counts: list[list[int]]


class _Data(BaseModel):
    """Data for the page's scripts: rows in the order of the table, their records by id, and matrices by row."""

    model_config = ConfigDict(frozen=True)

    rows: tuple[Row, ...]
    records: dict[str, Record]
    metrics: dict[str, _MetricData]
    confusions: dict[int, _ConfusionData] = {}
    costs: tuple[_CostData, ...] = _COST_DATA


def page(rows: Sequence[Row], records: Sequence[Record], find: Find | None = None, claims: str = "") -> str:
    """Render the page; equal rows and records give the same page to the byte.

    Args:
        rows: Rows of the leaderboard.
        records: Records; those of the rows at least.
        find: Looks up the predictions of a record, for confusion matrices; None for a page without them.
        claims: Section of claims, a fragment of HTML; empty for none.

    Returns:
        The HTML text.
    """
    known = {record.id: record for record in records}
    pooled = {
        one: known[one].model_copy(update={"reason": shortened(known[one].reason, LONGEST)})
        for row in rows
        for one in row.runs
    }
    templates = environment()
    templates.filters |= {"number": number, "score": score}
    templates.globals["sign"] = sign
    text: str = templates.get_template("page.html").render(
        version=__version__,
        columns=_columns(rows),
        rows=list(zip(rows, _whiskers(rows), strict=True)),
        settings=list(dict.fromkeys((row.task, row.backbone) for row in rows)),
        shots=sorted({row.shots for row in rows}, key=shots_rank),
        statuses=Counter(row.status for row in rows),
        units=labels(rows),
        fronts=list(FRONTS),
        company=legend(rows),
        claims=claims,
        finished=_latest(pooled.values()),
        data=_in_script(
            _Data(
                rows=tuple(rows),
                records=pooled,
                metrics={name: _MetricData.of(name) for name in metrics(rows)},
                confusions={} if find is None or len(pooled) > MOST_MATRICES else _confusions(rows, pooled, find),
            )
        ),
        plotly=_packed_plotly(),
    )
    return text


def _confusions(rows: Sequence[Row], records: Mapping[str, Record], find: Find) -> dict[int, _ConfusionData]:
    """The confusion matrices of rows whose records have predicted classes."""
    found = {}
    for place, row in enumerate(rows):
        try:
            kept = [find(records[one]) for one in row.runs]
        except StoreError as error:
            warnings.warn(f"the page has no confusion matrix of {row.method}: {error}", BenchWarning, stacklevel=2)
            continue
        matrix = Confusion.of([each.classes for each in kept if each is not None and each.classes is not None])
        if matrix is not None:
            names = tuple(visible(shortened(name.strip(), LONGEST)) for name in matrix.classes)
            found[place] = _ConfusionData(classes=names, counts=matrix.sparse())
    return found


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


def _whiskers(rows: Sequence[Row]) -> list[Whisker | None]:
    """Each row's interval on the scale from the lowest to the highest end of its task; None without a score."""
    ends: dict[tuple[str, ...], list[float]] = {}
    for row in rows:
        if row.value is not None:
            ends.setdefault((row.task, row.backbone, row.metric), []).extend(_ends(row, row.value))
    scales = {key: (min(values), max(values)) for key, values in ends.items()}

    def whisker(row: Row) -> Whisker | None:
        if row.value is None:
            return None
        low, high = scales[row.task, row.backbone, row.metric]
        width = (high - low) or 1.0
        first, last = _ends(row, row.value)
        return Whisker(*((value - low) / width * 100 for value in (first, row.value, last)))

    return [whisker(row) for row in rows]


def _ends(row: Row, value: float) -> tuple[float, float]:
    """The ends of a row's interval, both its score where it has none."""
    return (value, value) if row.ci_low is None or row.ci_high is None else (row.ci_low, row.ci_high)


def _latest(records: Iterable[Record]) -> str:
    """Date of the latest run; empty if no record has one."""
    finished = max((str(record.provenance.get("finished", "")) for record in records), default="")
    try:
        return datetime.fromisoformat(finished).strftime("%d %B %Y").lstrip("0")
    except ValueError:
        return ""


def _in_script(data: _Data) -> str:
    """JSON that cannot end its script element; NaN and infinity are null."""
    # Episode scores are the largest part of a record, and not on the page.
    text = visible_json(data.model_dump_json(exclude={"records": {"__all__": {"episode_scores"}}}))
    # JSON has these characters in strings only, where escapes keep the meaning.
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


@cache
def _packed_plotly() -> str:
    """Plotly's JavaScript, compressed to less than half even in base64; the page unpacks it."""
    # The highest level would save 1% more, and take twice as long.
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), compresslevel=5, mtime=0)).decode()
