"""A leaderboard as a W&B run: table, plots, page and records."""

import re
import uuid
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from bench.reports.fronts import FRONTS
from bench.reports.row import Row
from bench.results.csv_cells import csv_cell
from bench.runs.trackers.wandb_tracker import WandbTracker


def log_leaderboard(tracker: WandbTracker, rows: Sequence[Row], page: str) -> None:
    """Log a leaderboard as a run of its own: table, scores against costs by task and metric, the page, and all records.

    The records are an artifact.

    Args:
        tracker: W&B tracker; records and their side files are read from its folder.
        rows: Rows of the leaderboard.
        page: The HTML page.
    """
    import wandb

    made = tracker.logger(uuid.uuid4().hex[:16], "leaderboard", job_type="leaderboard", group=None)
    try:
        logged: dict[str, Any] = {"leaderboard": _table(rows), "page": wandb.Html(page, inject=False)}
        for (task, metric), own in groupby(sorted(rows, key=_scale), key=_scale):
            scored = [row for row in own if row.value is not None]
            for cost in (axis.row_field for axis in FRONTS.values() if scored):
                # A slash would make folders of the chart's table.
                title = re.sub(r"[^\w.,-]", " ", f"{task}, {metric} against {cost}")
                logged[title] = wandb.plot.scatter(_table(scored), cost, "value", title=title)
        made.experiment.log(logged)
        artifact = wandb.Artifact("records", type="records")
        for path in sorted(tracker.folder.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                artifact.add_file(str(path))
        made.experiment.log_artifact(artifact)
    finally:
        wandb.finish()


def _scale(row: Row) -> tuple[str, str]:
    """What rows of one chart share: scores of two tasks or metrics have no scale in common."""
    return row.task, row.metric


def _table(rows: Sequence[Row]) -> Any:
    """W&B's table of rows; values of mixed types, such as numbers of shots and "full", become text."""
    import wandb

    texts = {"shots", "runs"}
    cells = [row.model_dump() for row in rows]
    columns: list[str | int] = list(cells[0])
    # W&B's page also writes the table as CSV.
    data = [[csv_cell(str(value) if name in texts else value) for name, value in row.items()] for row in cells]
    return wandb.Table(columns=columns, data=data)
