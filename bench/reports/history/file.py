"""The file of a history: Parquet, one line for each point, written completely or not at all."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from bench.contracts.errors import StoreError, one_line
from bench.reports.history.point import Point, State
from bench.reports.row_names import RowKey
from bench.toolkit.durable import atomic_path, writing

VERSION = "1"
"""Version of the file's columns."""
_VERSION_KEY = b"bench_history"
_STATE = tuple(f"state_{each.name}" for each in fields(State))
_ROW = tuple(f"row_{name}" for name in RowKey._fields)
_OWN = tuple(each.name for each in fields(Point) if each.name not in {"state", "row"})
_TYPES = {
    **dict.fromkeys(("value", "low", "high", "spread", "least", "least_change"), pa.float64()),
    "n": pa.int64(), "higher_is_better": pa.bool_(), "records": pa.list_(pa.string()),
}  # fmt: skip
_SINGULAR = {"1 shots": "1 shot", "1 ways": "1 way", "1 queries": "1 query", "tuned by 1 trials": "tuned by 1 trial"}
SCHEMA = pa.schema(
    [pa.field(name, _TYPES.get(name, pa.string())) for name in (*_STATE, *_ROW, *_OWN)],
    metadata={_VERSION_KEY: VERSION.encode()},
)
"""Columns of the file."""


def read(path: Path) -> list[Point]:
    """Read a history.

    Args:
        path: The file.

    Returns:
        Its points, in the order of their states' times.

    Raises:
        StoreError: If there is none, or it is no history or damaged.
    """
    if not path.exists():
        raise StoreError(f"there is no history {path}; bench history add makes one from a store")
    try:
        table = pq.ParquetFile(path).read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"the history {path} cannot be read: {one_line(error)}") from error
    version = (table.schema.metadata or {}).get(_VERSION_KEY, b"").decode()
    if version != VERSION or table.column_names != SCHEMA.names:
        raise StoreError(f"{path} is no history of version {VERSION}; its version is {version or 'missing'}")
    points = [_point(line) for line in table.to_pylist()]
    return sorted(points, key=lambda point: (point.state.date, point.state.id))


def append(path: Path, points: Sequence[Point]) -> bool:
    """Append a state to a history, which is made if there is none.

    Args:
        path: The file, in an existing folder.
        points: Points of one state.

    Returns:
        Whether it is new; a state that the history has already is not appended again.

    Raises:
        StoreError: If the history cannot be read or written.
    """
    # Two jobs on one folder would otherwise each write the file without the other's state.
    with writing(f"the history {path}"), FileLock(path.with_name(f".{path.name}.lock")):
        earlier = read(path) if path.exists() else []
        if {point.state.id for point in points} <= {point.state.id for point in earlier}:
            return False
        table = pa.Table.from_pylist([_line(point) for point in (*earlier, *points)], schema=SCHEMA)
        with atomic_path(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")
    return True


def _line(point: Point) -> dict[str, Any]:
    own = {name: getattr(point, name) for name in _OWN}
    return {
        **{f"state_{name}": value for name, value in asdict(point.state).items()},
        **{f"row_{name}": value for name, value in point.row._asdict().items()},
        **own,
    }  # fmt: skip


def _point(line: dict[str, Any]) -> Point:
    state = State(*(line[name] for name in _STATE))
    # Histories of earlier programs have "1 shots": a row is the same row under both programs.
    row = RowKey(*(_SINGULAR.get(line[name], line[name]) for name in _ROW))
    return Point(state, row, **{name: line[name] for name in _OWN})
