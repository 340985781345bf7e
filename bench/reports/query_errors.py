"""Queries that a method answers wrong most often, over the episodes and seeds of its recorded runs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench import registry
from bench.contracts.errors import StoreError, UsageError
from bench.contracts.kinds import CLASSIFICATION
from bench.reports.confusion import Confusion
from bench.reports.named_rows import named_rows, row_name
from bench.results.grouping import data_of, pooled
from bench.results.predictions import QueryPredictions
from bench.results.record import Record
from bench.results.row_sample import Find
from bench.results.run_texts import several_shots_text, shots_rank, task_text
from bench.results.selection import of_tasks
from bench.spec.run_spec import Shots
from bench.stats.intervals import share_low
from bench.toolkit.chat import Conversation

if TYPE_CHECKING:
    from PIL.Image import Image

    from bench.contracts import TaskData


@dataclass(frozen=True)
class QueryError:
    """A query with its wrong answers.

    Attributes:
        query: Position in the task's query pool.
        item: The text, or the name of the image: its file, or its row.
        label: Name of the right class.
        predictions: Number of each wrong prediction by name of the class, the most frequent first; those of records of
            earlier programs, which do not have them, are missing.
        wrong: Number of wrong answers.
        answers: Number of answers.
        image: The image; None for a text.
    """

    query: int
    item: str
    label: str
    predictions: dict[str, int]
    wrong: int
    answers: int
    image: "Image | None" = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class ErrorReport:
    """The wrong answers of a method on a task.

    Attributes:
        task: The task.
        backbone: The backbone.
        method: The method with its settings.
        shots: Numbers of shots of the runs.
        runs: Ids of the records.
        wrong: Number of wrong answers of all queries.
        answers: Number of answers of all queries.
        queries: Number of different queries.
        listed: The queries that are wrong most often: by the lower end of the 95% interval of their share of wrong
            answers, so that 1 of 1 comes after 5 of 6.
        confusion: Answers by right and predicted class; None where no record has predicted classes.
        without_classes: Number of records of earlier programs, which have no predicted classes.
    """

    task: str
    backbone: str
    method: str
    shots: tuple[Shots, ...]
    runs: tuple[str, ...]
    wrong: int
    answers: int
    queries: int
    listed: tuple[QueryError, ...]
    confusion: Confusion | None
    without_classes: int


@dataclass(frozen=True)
class Choice:
    """The runs whose answers are reported.

    Attributes:
        method: Name of the method, as in a leaderboard.
        task: Name of the task; None for the only one.
        shots: Only these numbers of shots; all where none is named.
        backbone: Name of the backbone; None for the only one.
    """

    method: str
    task: str | None = None
    shots: Sequence[Shots] = ()
    backbone: str | None = None

    def records(self, records: Sequence[Record]) -> list[Record]:
        """The chosen records.

        Args:
            records: Records of any runs.

        Returns:
            Scored records of one row of a method at one or several numbers of shots.

        Raises:
            UsageError: If there is none, or if there are several tasks, backbones or rows to choose from.
        """
        shown = {task_text(record.spec) for record in of_tasks(records, [self.task] if self.task else [])}
        scored = [group for group in pooled(records) if group[0].status == "ok" and group[0].episode_scores]
        rows = [group for group in named_rows(scored, self.method) if task_text(group[0].spec) in shown]
        rows = [group for group in rows if not self.shots or group[0].spec.shots in {*self.shots, 0}]
        tasks = sorted({task_text(group[0].spec) for group in rows})
        if self.task in tasks:  # by its whole name, where it was run in other forms too
            tasks = [self.task]
            rows = [group for group in rows if task_text(group[0].spec) == self.task]
        if not tasks:
            there = f" on {self.task}" if self.task else ""
            at = f" at {several_shots_text(self.shots)}" if self.shots else ""
            raise UsageError(f"no scored run of {self.method}{there}{at} is in the store; run it first")
        if len(tasks) > 1:
            raise UsageError(f"{self.method} has runs on several tasks; choose one by --task: {', '.join(tasks)}")
        on = f"{self.method} on {tasks[0]}"
        backbones = sorted({group[0].spec.backbone for group in rows})
        if self.backbone is not None:
            rows = [group for group in rows if group[0].spec.backbone == self.backbone]
            if not rows:
                raise UsageError(f"no run of {on} is with the backbone {self.backbone}; known: {', '.join(backbones)}")
        elif len(backbones) > 1:
            raise UsageError(f"{on} has runs on several backbones; choose one by --backbone: {', '.join(backbones)}")
        if len(names := dict.fromkeys(row_name(group[0]) for group in rows)) > 1:
            raise UsageError(f"{on} has several rows; name one of them, or --shots: {', '.join(map(repr, names))}")
        return [record for group in rows for record in group]


def error_report(records: Sequence[Record], find: Find, choice: Choice, data: Path | None, top: int) -> ErrorReport:
    """The queries that a method answers wrong most often.

    Args:
        records: Records of any runs.
        find: Looks up the predictions of a record.
        choice: The runs to report.
        data: Folder of local data sets; None for the task's own source.
        top: Largest number of queries.

    Returns:
        The queries with text or image, label and predictions, and the confusion matrix.

    Raises:
        DataError: If the task's data cannot be read.
        StoreError: If no record has predictions.
        UsageError: For a wrong choice, a task without classes, and data that are not those of the runs.
    """
    chosen = choice.records(records)
    spec = chosen[0].spec
    task = registry.make_task(*spec.form())
    if task.kind not in CLASSIFICATION:
        raise UsageError(f"errors are of tasks with classes; {spec.task} is {task.kind}")
    loaded = task.load(data)
    chosen = _of_data(chosen, loaded.revision)
    found = [(record, kept) for record in chosen if (kept := find(record)) is not None]
    if not found:
        raise StoreError(f"no record of {choice.method} on {spec.task} has predictions; run it again with --force")
    wrong, answers = np.zeros((2, len(loaded.query.labels)), dtype=np.int64)
    for record, kept in found:
        np.add.at(answers, kept.query, 1)
        np.add.at(wrong, kept.query, _wrong(record, kept).astype(np.int64))
    classes = [kept.classes for _, kept in found if kept.classes is not None]
    seen = np.flatnonzero(answers)
    order = seen[np.lexsort((seen, -share_low(wrong[seen], answers[seen])))]
    listed = [int(query) for query in order[:top] if wrong[query]]
    given = _predictions(listed, [kept for _, kept in found])
    return ErrorReport(
        task=task_text(spec),
        backbone=spec.backbone,
        method=row_name(chosen[0]),
        shots=tuple(sorted({record.spec.shots for record in chosen}, key=shots_rank)),
        runs=tuple(record.id for record, _ in found),
        wrong=int(wrong.sum()),
        answers=int(answers.sum()),
        queries=len(seen),
        listed=tuple(
            _query_error(loaded, query, given[query], int(wrong[query]), int(answers[query]), data) for query in listed
        ),
        confusion=Confusion.of(classes, loaded.classes),
        without_classes=len(found) - len(classes),
    )


def _of_data(records: list[Record], revision: str) -> list[Record]:
    """The records of some data."""
    found = [record for record in records if data_of(record) == revision]
    if not found:
        known = ", ".join(sorted({data_of(record)[:16] for record in records}))
        raise UsageError(
            f"the data of {records[0].spec.task} are not those of the runs: revision {revision[:16]}, the runs have "
            f"{known}; give the folder of the runs by --data, or run again"
        )
    return found


def _wrong(record: Record, kept: QueryPredictions) -> NDArray[np.bool_]:
    """Whether each answer of a record is wrong."""
    if kept.classes is not None:
        return kept.classes.wrong
    if record.metric != "accuracy":
        raise UsageError(
            f"{record.id} is of an earlier program and says of no answer whether it is wrong; run it again with --force"
        )
    return np.asarray(kept.values[:, 0] == 0)


def _predictions(queries: Sequence[int], found: Sequence[QueryPredictions]) -> dict[int, Counter[str]]:
    """How often each wrong class was predicted for some queries."""
    counted: dict[int, Counter[str]] = {query: Counter() for query in queries}
    for kept in found:
        classes = kept.classes
        if classes is not None:
            for place in np.flatnonzero(np.isin(kept.query, queries) & classes.wrong):
                counted[int(kept.query[place])][classes.classes[classes.predicted[place]].strip()] += 1
    return counted


def _query_error(
    loaded: "TaskData", query: int, given: Counter[str], wrong: int, answers: int, data: Path | None
) -> QueryError:
    """A query with its text or image."""
    raw = loaded.query.inputs[query]["input"]
    label = loaded.classes[int(loaded.query.labels[query])].strip()
    image = None
    if isinstance(raw, str):
        item = _text(raw)
    elif isinstance(raw, list | np.ndarray):
        item = f"row {query}: [{', '.join(f'{number:.3g}' for number in raw[:3])}, ...]"
    else:
        item, image = _image_name(raw, query, data), raw
    return QueryError(query, item, label, dict(given.most_common()), wrong, answers, image)


def _text(prompt: str) -> str:
    """A prompt, or of a chat its last turn."""
    turns = Conversation.of(prompt)
    return prompt if turns is None else turns.messages[-1]["content"]


def _image_name(image: "Image", query: int, data: Path | None) -> str:
    """The file of an image, from the folder of the data on, or its row."""
    name = str(getattr(image, "filename", "")) or f"row {query}"
    inside = data is not None and Path(name).is_relative_to(data)
    return str(Path(name).relative_to(data)) if inside and data is not None else name
