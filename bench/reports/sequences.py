"""Sequences of tasks: what was forgotten, how well later tasks are learnt, and what a labelled example is worth.

All differences are paired: scores of one method on the same queries of the same episodes, before and after.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from bench import registry
from bench.contracts.metric import Metric
from bench.contracts.sequence import task_names
from bench.results.grouping import pooled
from bench.results.record import Record, Stage
from bench.results.run_texts import method_text, task_text
from bench.results.scores import clusters
from bench.spec.run_spec import Shots
from bench.stats.intervals import Floats, mean_of


class Change(BaseModel):
    """A mean of paired differences.

    Attributes:
        value: The mean.
        low: Lower end of its 95% interval by Student's t; None for a single pair.
        high: Upper end.
        pairs: Number of pairs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float | None
    high: float | None
    pairs: int


class SequenceRow(BaseModel):
    """What one method did on one task of a sequence; differences are turned round where less is better.

    Attributes:
        sequence: The tasks in order.
        backbone: Name of the backbone.
        method: The method with its config.
        shots: Labelled examples per class of each task.
        task: The task that this row is of.
        metric: Name of the metric.
        labels: Labelled examples of the task's own stage.
        before: Score before its own stage.
        learnt: Score after its own stage.
        final: Score after the last stage.
        per_label: What a labelled example gains, its sample efficiency: learnt - before, divided by the labels.
        forgetting: learnt - final; None for the last task.
        plasticity: learnt - the score of a fresh method on this task alone; None for the first task.
        labels_to_base: Fewest labels, of the numbers of shots that were run, with which ``learnt`` is as good as a
            fresh method with the most of them; None where that is never so, for the first task and for one number of
            shots.
        nll_rise: Rise of the negative log-likelihood of generic texts per token in nats over this stage, paired by
            text; None where the method leaves the language model as it is, or there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sequence: str
    backbone: str
    method: str
    shots: Shots
    task: str
    metric: str
    labels: float
    before: float
    learnt: float
    final: float
    per_label: Change
    forgetting: Change | None = None
    plasticity: Change | None = None
    labels_to_base: float | None = None
    nll_rise: Change | None = None


def sequence_rows(records: Iterable[Record]) -> list[SequenceRow]:
    """Rows of all sequences among some records, seeds pooled.

    Args:
        records: Records of any runs.

    Returns:
        A row for each method, number of shots and task; none for runs on single tasks.
    """
    groups = [group for group in pooled(records) if group[0].stages]
    rows = [row for group in groups for row in _rows(group)]
    return [row.model_copy(update={"labels_to_base": _labels_to_base(row, rows)}) for row in rows]


def _rows(group: list[Record]) -> list[SequenceRow]:
    first, spec = group[0], group[0].spec
    names, metric = task_names(spec.task), registry.make_metric(group[0].metric)

    def change(differences: Floats) -> Change:
        return _change(differences if metric.higher_is_better else -differences, clusters(group))

    made = []
    for number, task in enumerate(names, start=1):
        before, learnt, final = (_scores(group, task, stage) for stage in (number - 1, number, len(names)))
        labels = _stage(first, number).labels
        made.append(
            SequenceRow(
                sequence=task_text(spec),
                backbone=spec.backbone,
                method=method_text(spec),
                shots=spec.shots,
                task=task,
                metric=first.metric,
                labels=labels,
                before=float(before.mean()),
                learnt=float(learnt.mean()),
                final=float(final.mean()),
                per_label=change((learnt - before) / max(labels, 1.0)),
                forgetting=change(learnt - final) if number < len(names) else None,
                plasticity=change(learnt - _scores(group, task, number, "base")) if number > 1 else None,
                nll_rise=_nll_rise(group, number),
            )
        )
    return made


def _stage(record: Record, number: int, start: str = "sequence") -> Stage:
    return next(stage for stage in record.stages if stage.stage == number and stage.start == start)


def _scores(group: Sequence[Record], task: str, number: int, start: str = "sequence") -> Floats:
    """``[episode]`` of all seeds."""
    return np.concatenate([_stage(record, number, start).scores[task] for record in group])


def _change(differences: Floats, seeds: Sequence[int] | None = None) -> Change:
    value = float(differences.mean())
    if len(differences) < 2:
        return Change(value=value, low=None, high=None, pairs=len(differences))
    found = mean_of(differences, seeds)
    reach = found.quantile * found.error
    return Change(value=value, low=value - reach, high=value + reach, pairs=len(differences))


def _nll_rise(group: Sequence[Record], number: int) -> Change | None:
    """The rise, mean over seeds, with the texts as pairs."""
    pairs = [(_stage(record, number - 1).text_nll, _stage(record, number).text_nll) for record in group]
    if not all(before and after for before, after in pairs):
        return None
    return _change(np.mean([np.subtract(after, before) for before, after in pairs], axis=0))


def _labels_to_base(row: SequenceRow, rows: Sequence[SequenceRow]) -> float | None:
    like = [each for each in rows if _without_shots(each) == _without_shots(row)]
    most = max(like, key=lambda each: each.labels)
    if len(like) < 2 or most.plasticity is None:
        return None
    metric: Metric = registry.make_metric(row.metric)
    base = metric.sort_score(most.learnt) - most.plasticity.value
    reached = [each.labels for each in like if metric.sort_score(each.learnt) >= base]
    return min(reached, default=None)


def _without_shots(row: SequenceRow) -> tuple[str, str, str, str]:
    return row.sequence, row.backbone, row.method, row.task
