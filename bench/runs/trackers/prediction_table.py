"""The table of a run's predictions, for trackers that show tables."""

from pathlib import Path
from typing import Any

from bench.results.csv_cells import csv_cell
from bench.results.predictions import CLASS_COLUMNS
from bench.results.record import Record
from bench.results.store import Store

MOST_ROWS = 10_000
"""Queries of a table, which is as many as W&B shows."""


def prediction_table(store: Path, record: Record) -> tuple[list[str], list[list[Any]]] | None:
    """The predictions of a record as a table.

    Args:
        store: Folder of its store.
        record: The record.

    Returns:
        Names of columns, and a row for each query: episode, position in the query pool, values of the metric and, in
        classification, the right and the predicted class. None where nothing was predicted or kept.

    Raises:
        StoreError: If the file of the predictions is damaged.
    """
    found = Store(store).predictions(record)
    if found is None:
        return None
    columns = ["episode", "query", *found.scorer.fields]
    parts = [found.episode.tolist(), found.query.tolist(), *found.values.T.tolist()]
    if found.classes is not None:
        columns += CLASS_COLUMNS
        parts += [[csv_cell(name) for name in names] for names in found.classes.names]
    return columns, [list(row) for row in zip(*(part[:MOST_ROWS] for part in parts), strict=True)]
