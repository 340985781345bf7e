"""Data of the leaderboard's page for its scripts: compressed, the rows in one piece and their records in parts."""

import base64
import gzip
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from bench import registry
from bench.contracts.errors import BenchWarning, StoreError
from bench.reports.company import TIMES, company_of
from bench.reports.confusion import Confusion
from bench.reports.overview import row_name
from bench.reports.page_pairs import PairData, pairs_by_query
from bench.reports.row import Row
from bench.reports.row_marks import row_marks
from bench.reports.tables import metrics
from bench.results.record import Record
from bench.results.row_sample import Find
from bench.spec.axes import AXES
from bench.stats.intervals import ALPHA, LEAST_EPISODES
from bench.stats.paired import EXACT_UNITS
from bench.toolkit.derived import derived_folder
from bench.toolkit.durable import write_atomic
from bench.toolkit.files import cache_folder, digest, package_file
from bench.toolkit.visible import LONGEST_CELL, shortened, visible, visible_json

MOST_READ = 500
"""Largest number of records of a page with what needs predictions: confusion matrices, and comparisons by queries.

With 100 classes, 250 records of 20,000 answers add 3 s and 2 MB to a page, 1,000 records of 5,000 answers 8 s and 4 MB.
"""
ROWS_OF_PART = 50
"""Consecutive rows whose records are unpacked together, when one of them is opened."""
ON_PAGE = sorted((axis for axis in AXES if axis.on_page), key=lambda axis: axis.in_table)
"""Axes of cost with a column. The time until the first answer, which is in no terminal table, comes first."""


class _MetricData(BaseModel):
    """Data of a metric; low and high are None where its scores have no such bound."""

    model_config = ConfigDict(frozen=True)

    label: str
    decimals: int
    higher_is_better: bool
    low: float | None
    high: float | None

    @classmethod
    def of(cls, name: str) -> "_MetricData":
        """Data of an installed metric."""
        metric = registry.make_metric(name)
        low, high = (None if abs(bound) == float("inf") else bound for bound in metric.bounds)
        return cls(
            label=metric.label, decimals=metric.decimals, higher_is_better=metric.higher_is_better, low=low, high=high
        )


class _CostData(BaseModel):
    """Data of an axis of cost: field, heading, the front of scores against it, and whether it is a time."""

    model_config = ConfigDict(frozen=True)

    field: str
    title: str
    unit: str
    description: str
    front: str
    time: bool


_COST_DATA = tuple(
    _CostData(
        field=axis.row_field, title=axis.title, unit=axis.unit, description=axis.description, front=axis.front,
        time=axis.row_field in TIMES,
    )
    for axis in ON_PAGE
)  # fmt: skip


class _ConfusionData(BaseModel):
    """A confusion matrix: classes, and ``[true, predicted, answers]`` where there are any."""

    model_config = ConfigDict(frozen=True)

    classes: tuple[str, ...]
    counts: list[list[int]]


class _TestData(BaseModel):
    """What the page's tests by episodes have in common with ``bench.stats``."""

    model_config = ConfigDict(frozen=True)

    alpha: float = ALPHA
    exact_units: int = EXACT_UNITS
    least_episodes: int = LEAST_EPISODES


class _Data(BaseModel):
    """The rows in the order of the leaderboard, each with its limits, and what scripts need to format them."""

    model_config = ConfigDict(frozen=True)

    rows: list[dict[str, Any]]
    metrics: dict[str, _MetricData]
    fields: tuple[str, ...] = tuple(Row.model_fields)
    costs: tuple[_CostData, ...] = _COST_DATA
    tests: _TestData = _TestData()
    rows_of_part: int = ROWS_OF_PART


class _Part(BaseModel):
    """Records of some consecutive rows by id, with what belongs to them.

    Attributes:
        records: The records by id.
        company: Why costs of a record count as measured in company.
        confusions: Confusion matrices by row.
        pairs: Comparisons by queries, by the row and the later row that it is compared with.
    """

    model_config = ConfigDict(frozen=True)

    records: dict[str, Record]
    company: dict[str, str]
    confusions: dict[int, _ConfusionData]
    pairs: dict[int, dict[int, PairData]]


def packed_rows(rows: Sequence[Row], records: Mapping[str, Record]) -> str:
    """The rows for the page's scripts.

    Args:
        rows: Rows of the leaderboard.
        records: Their records by id.

    Returns:
        JSON, compressed, in base64.
    """
    given = [
        {
            **row.model_dump(), "name": row_name(row), "mark": mark, "full_name": row.full_name,
            "limits": records[row.runs[0]].spec.budget.limits(),
        }
        # The page has no columns of these.
        for row, mark in zip(rows, row_marks(rows, unnamed=("ways", "queries", "precision")), strict=True)
    ]  # fmt: skip
    return _packed_model(_Data(rows=given, metrics={name: _MetricData.of(name) for name in metrics(rows)}))


def packed_parts(rows: Sequence[Row], records: Mapping[str, Record], find: Find) -> list[str]:
    """The records of the rows, with the scores of their episodes, confusion matrices and comparisons by queries.

    Args:
        rows: Rows of the leaderboard.
        records: Their records by id.
        find: Looks up the predictions of a record.

    Returns:
        JSON of each ROWS_OF_PART rows, compressed, in base64.
    """
    is_read = len(records) <= MOST_READ
    confusions = _confusions(rows, records, find) if is_read else {}
    pairs = _pairs(rows, records, find) if is_read else {}
    parts = []
    for start in range(0, len(rows), ROWS_OF_PART):
        places = range(start, min(start + ROWS_OF_PART, len(rows)))
        own = {one: records[one] for place in places for one in rows[place].runs}
        company = {one: reason for one, record in own.items() if (reason := company_of([record]))}
        matrices = {place: confusions[place] for place in places if place in confusions}
        compared = {place: pairs[place] for place in places if place in pairs}
        parts.append(_packed_model(_Part(records=own, company=company, confusions=matrices, pairs=compared)))
    return parts


def _pairs(rows: Sequence[Row], records: Mapping[str, Record], find: Find) -> dict[int, dict[int, PairData]]:
    """Comparisons by queries, by both rows."""
    found: dict[int, dict[int, PairData]] = {}
    for (one, other), pair in pairs_by_query(rows, records, find).items():
        found.setdefault(one, {})[other] = pair
    return found


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
            names = tuple(visible(shortened(name.strip(), LONGEST_CELL)) for name in matrix.classes)
            found[place] = _ConfusionData(classes=names, counts=matrix.sparse())
    return found


def _packed_model(data: BaseModel) -> str:
    """JSON with visible texts, compressed; NaN and infinity are null."""
    return _packed(visible_json(data.model_dump_json()))


def _packed(text: str) -> str:
    """A text, compressed, in base64."""
    # The highest level would save 1% more, and take twice as long.
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=5, mtime=0)).decode()


@cache
def packed_plotly() -> str:
    """Plotly's JavaScript, compressed to less than half even in base64."""
    script = package_file("plotly", "package_data/plotly.min.js", "plotly")  # plotly itself would take time to import
    folder = cache_folder() / "plotly" / digest(script)  # compressing it takes a quarter of a second

    def make(made: Path) -> None:
        write_atomic(made / "script", _packed(script.read_bytes().decode()))

    with suppress(OSError, StoreError):  # where it cannot be kept, it is compressed each time
        derived_folder(folder, "the compressed script of charts", make)
        return (folder / "script").read_text(encoding="ascii")
    return _packed(script.read_bytes().decode())
