"""Tables of records: a row for each run, or for each query of each run."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from bench import registry
from bench.contracts.errors import StoreError, UsageError
from bench.results.csv_cells import csv_cell
from bench.results.identity import protocol_of
from bench.results.predictions import CLASS_COLUMNS
from bench.results.record import Record
from bench.results.run_texts import budget_text
from bench.results.store import Store
from bench.spec.axes import AXES
from bench.toolkit.durable import atomic_path, writing


def _run(record: Record) -> dict[str, Any]:
    """Columns that identify a run, in every table."""
    spec = record.spec
    return {
        "id": record.id, "task": spec.task, "prompt": spec.prompt, "template": str(spec.template),
        "backbone": spec.backbone, "method": spec.method,
        "config": json.dumps(spec.config, sort_keys=True), "budget": budget_text(spec), "shots": str(spec.shots),
        "seed": spec.seed, "limit": spec.limit,
    }  # fmt: skip


def runs(store: Store) -> pa.Table:
    """Table of runs: specification, status, score, costs and provenance.

    Args:
        store: The records.

    Returns:
        A row for each run.

    Raises:
        StoreError: If there are no records, or a damaged one.
    """
    rows = []
    for record in store:
        costs = record.costs
        metric = registry.make_metric(record.metric) if record.value is not None else None
        measured = {axis.export_field: None if costs is None else axis.of_costs(costs) for axis in AXES}
        rows.append(
            {
                **_run(record), "ways": record.spec.ways, "episodes": record.spec.episodes,
                "queries_per_class": record.spec.queries, "precision": record.spec.precision,
                "device": record.identity.get("device"), "status": record.status, "reason": record.reason,
                "metric": record.metric, "unit": metric.label if metric else None,
                "higher_is_better": metric.higher_is_better if metric else None,
                "value": record.value, "ci_low": record.ci_low, "ci_high": record.ci_high,
                "n_queries": record.n_queries,
                **{field: value for field, value in measured.items() if field},
                "device_model": costs.device if costs is not None else None,
                "company": "; ".join(costs.company) if costs is not None else None,
                "measured_for": costs.measured_for if costs is not None else None,
                "protocol": protocol_of(record.identity),
                "finished": record.provenance.get("finished"), "git": record.provenance.get("git"),
            }
        )  # fmt: skip
    return pa.Table.from_pylist(rows)


def queries(store: Store) -> pa.Table:
    """Table of queries; a field that a metric does not have is empty, and classes where there are none.

    A query is identified by ``task`` and ``query``, its position in the task's query pool.

    Args:
        store: The records.

    Returns:
        A row for each query of each run.

    Raises:
        StoreError: If no record has predictions.
    """
    fields = dict.fromkeys(field for name in registry.find("metrics") for field in registry.make_metric(name).fields)
    tables = []
    for record in store:
        found = store.predictions(record)
        if found is None:
            continue
        columns = {
            # Without the type, a column of whole runs alone would have another one.
            name: pa.array([value] * len(found), pa.int64() if name == "limit" else None)
            for name, value in _run(record).items()
        }
        columns |= {"episode": pa.array(found.episode), "query": pa.array(found.query)}
        own = dict(zip(found.scorer.fields, found.values.T, strict=True))
        columns |= {name: pa.array(own[name]) if name in own else pa.nulls(len(found), pa.float64()) for name in fields}
        classes = found.classes.names if found.classes is not None else ([None] * len(found),) * 2
        columns |= {name: pa.array(row, pa.string()) for name, row in zip(CLASS_COLUMNS, classes, strict=True)}
        tables.append(pa.table(columns))
    if not tables:
        raise StoreError(f"no record in {store.root} has predictions; delete the records to run again")
    return pa.concat_tables(tables)


def _write_csv(table: pa.Table, path: Path) -> None:
    """Write a table as CSV, with no text that a spreadsheet would compute."""
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            cells = [csv_cell(cell) for cell in table.column(place).to_pylist()]
            table = table.set_column(place, field, pa.array(cells, pa.string()))
    pc.write_csv(table, path)


def write(table: pa.Table, out: Path) -> None:
    """Write a table as Parquet or CSV, by the file's suffix.

    Args:
        table: The table.
        out: The file.

    Raises:
        UsageError: For another suffix.
        StoreError: If the file cannot be written.
    """
    writers: dict[str, Any] = {".parquet": pq.write_table, ".csv": _write_csv}
    if out.suffix not in writers:
        raise UsageError(f"--out needs a name that ends in {' or '.join(writers)}, got {out}")
    with writing(f"--out {out}"), atomic_path(out) as temporary:
        writers[out.suffix](table, temporary)
