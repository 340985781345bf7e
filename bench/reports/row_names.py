"""Names of rows that are shown together: task, method, budget and shots, and whatever else tells them apart."""

from collections.abc import Iterable
from typing import NamedTuple

from bench.results.identity import device_kind_of
from bench.results.record import Record
from bench.results.run_texts import budget_text, method_text, queries_text, shots_text, task_text, ways_text
from bench.toolkit.counted import noun_of


class RowKey(NamedTuple):
    """A row of a leaderboard in words, without what changes from one version of a run to the next.

    Attributes:
        task: Task, with its prompt style and, where there are several, its data.
        method: Method with the fields that differ from its defaults.
        budget: Limits.
        shots: Labelled examples per class.
        backbone: Backbone.
        ways: Classes per episode.
        queries: Queries per class.
        precision: Lightning precision.
        device: Kind of device.
        tuned: Search that the config came from.
    """

    task: str
    method: str = ""
    budget: str = ""
    shots: str = ""
    backbone: str = ""
    ways: str = ""
    queries: str = ""
    precision: str = ""
    device: str = ""
    tuned: str = ""

    @classmethod
    def of(cls, record: Record, task: str | None = None) -> "RowKey":
        """The key of a record's row.

        Args:
            record: The record.
            task: Name of the task; by default with its prompt style alone.

        Returns:
            The key.
        """
        spec = record.spec
        return cls(
            task=task_text(spec) if task is None else task,
            method=method_text(spec),
            budget=budget_text(spec),
            shots=shots_text(spec.shots),
            backbone=spec.backbone,
            ways=ways_text(spec.ways),
            queries=queries_text(spec.queries),
            precision=spec.precision,
            device=device_kind_of(record.identity),
            tuned=f"tuned by {spec.tuning.trials} {noun_of(spec.tuning.trials, 'trial')}" if spec.tuning else "",
        )


_ALWAYS = ("task", "method", "budget", "shots")
_FURTHER = tuple(field for field in RowKey._fields if field not in _ALWAYS)


def row_names(keys: Iterable[RowKey]) -> dict[RowKey, str]:
    """Names of rows; of the further parts those that differ between rows of one task.

    Args:
        keys: Keys of all rows that are shown together.

    Returns:
        Names by key, for example ``digits faast 5 shots`` or, of several backbones, ``digits faast 5 shots hf:gpt2``.
    """
    by_task: dict[str, list[RowKey]] = {}
    for key in dict.fromkeys(keys):
        by_task.setdefault(key.task, []).append(key)
    names = {}
    for rows in by_task.values():
        telling = [field for field in _FURTHER if len({getattr(key, field) for key in rows}) > 1]
        for key in rows:
            parts = (getattr(key, field) for field in (*_ALWAYS, *telling))
            names[key] = " ".join(part for part in parts if part)
    return names
