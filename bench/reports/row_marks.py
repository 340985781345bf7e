"""What tells rows of a leaderboard apart that would otherwise have one name."""

from collections.abc import Callable, Collection, Hashable, Sequence

from bench.reports.overview import row_title
from bench.reports.row import Row
from bench.results.run_texts import queries_text, ways_text

PARTS: dict[str, Callable[[Row], str]] = {
    "backbone": lambda row: row.backbone,
    "ways": lambda row: ways_text(row.ways),
    "queries": lambda row: queries_text(row.queries),
    "precision": lambda row: row.precision,
    "device": lambda row: row.device,
}
"""What may distinguish rows of one task, method, budget and number of shots, in words, by field."""


def row_marks(rows: Sequence[Row], unnamed: Collection[str]) -> list[str]:
    """What rows need beside their names.

    Args:
        rows: Rows that are shown together.
        unnamed: The fields of PARTS that stand nowhere else beside the names.

    Returns:
        For each row what distinguishes the rows of its task, for example ``200 queries``; empty for all rows of a task
        whose names differ.
    """
    named = [field for field in PARTS if field not in unnamed]
    by_task: dict[Hashable, dict[Hashable, list[Row]]] = {}
    for row in rows:
        name = (
            row_title(row),
            row.config,
            row.shots,
            row.metric,
            row.protocol,
            *(getattr(row, each) for each in named),
        )
        by_task.setdefault(_task(row, unnamed), {}).setdefault(name, []).append(row)
    telling = {
        task: [field for field in PARTS if field in unnamed and any(_differ(own, field) for own in names.values())]
        for task, names in by_task.items()
    }
    return [", ".join(filter(None, (PARTS[field](row) for field in telling[_task(row, unnamed)]))) for row in rows]


def _task(row: Row, unnamed: Collection[str]) -> Hashable:
    return row.task, "" if "backbone" in unnamed else row.backbone


def _differ(rows: Sequence[Row], field: str) -> bool:
    return len(rows) > 1 and len({getattr(row, field) for row in rows}) > 1
