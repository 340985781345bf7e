"""One row per task, backbone, method, config and number of shots; seeds are pooled."""

import statistics
from collections.abc import Iterable, Sequence

from bench import registry
from bench.contracts.site import name_at_site
from bench.reports.fronts import mark_pareto
from bench.reports.known_boards import KnownBoards
from bench.reports.over_templates import OverTemplates, over_templates
from bench.reports.row import Row, comparable, cost_device, has_score, scorer
from bench.reports.standings import Entry, standings
from bench.results.grouping import devices, pooled_with_others, table_names
from bench.results.identity import protocol_of
from bench.results.record import Record
from bench.results.row_sample import Find, no_predictions
from bench.results.run_texts import budget_text, config_text, shots_rank
from bench.results.scores import Score, row_score
from bench.spec.axes import AXES, Axis
from bench.spec.costs import Costs, break_even_queries


def _pooled(axis: Axis, costs: list[Costs]) -> float | None:
    """A cost over seeds: the first count, or the median; None where nothing was measured."""
    if axis.whole:
        return next((value for cost in costs if (value := axis.of_costs(cost)) is not None), None)
    known = [value for cost in costs if (value := axis.of_costs(cost)) is not None]
    return statistics.median(known) if known else None


def _row(records: Sequence[Record], others: int, task: str, score: Score | None) -> Row:
    first = records[0]
    measured_on = devices(records)
    costs = [record.costs for record in records if record.costs is not None and record.costs.device == measured_on[0]]
    tuning = first.spec.tuning
    return Row(
        task=task,
        backbone=first.spec.backbone,
        method=name_at_site(first.spec.method, first.spec.config),
        config=config_text(first.spec),
        budget=budget_text(first.spec),
        tuning_trials=tuning.trials if tuning else 0,
        tuning_seconds=tuning.seconds if tuning else 0.0,
        shots=first.spec.shots,
        seeds=len(records),
        episodes=sum(len(record.episode_scores) for record in records),
        metric=first.metric,
        value=score.value if score else None,
        ci_low=score.interval.low if score and score.interval else None,
        ci_high=score.interval.high if score and score.interval else None,
        protocol=protocol_of(first.identity),
        device="; ".join(measured_on),
        company="; ".join(next((company for one in costs if (company := one.company)), ())),
        **{axis.row_field: _pooled(axis, costs) for axis in AXES if axis.row_field},
        class_embeddings=str(first.notes.get("class_embeddings", "")),
        form=str(first.notes.get("form", "")).partition(":")[0],
        contract=str(first.provenance.get("contract", "")),
        transductive=bool(first.provenance.get("transductive", False)),
        limit=first.spec.limit,
        ways=first.spec.ways,
        queries=first.spec.queries,
        precision=first.spec.precision,
        others=others,
        status=first.status,
        reason=first.reason,
        runs=tuple(record.id for record in records),
    )


def _row_over(found: OverTemplates, task: str) -> Row:
    """A row over templates: the mean score, its range, and costs of all."""
    row = _row([record for group in found.groups for record in group], 0, f"{task} {found.name}", found.score)
    low, high = (registry.make_metric(row.metric).text(value) for value in (found.low, found.high))
    changes = {
        "seeds": len(found.groups[0]),
        "episodes": sum(len(record.episode_scores) for record in found.groups[0]),
        "templates": len(found.templates),
        "template_low": found.low,
        "template_high": found.high,
        "over_templates": f"{low} to {high} over {len(found.templates)}",
    }
    return row.model_copy(update=changes)


def against(given: list[Row], method: str) -> list[Row]:
    """The same rows with the number of queries from which on each costs less than ``method`` on the same task."""
    others = {
        (*comparable(row), cost_device(row)): row
        for row in reversed(given)
        if row.method == method and row.time_to_first_query is not None
    }
    compared = []
    for row in given:
        other = others.get((*comparable(row), cost_device(row)))
        queries, company = None, False
        if other is not None and other is not row and row.time_to_first_query is not None:
            queries = break_even_queries(
                row.time_to_first_query - (other.time_to_first_query or 0.0),
                (other.query_seconds or 0.0) - (row.query_seconds or 0.0),
            )
            company = queries is not None and bool(row.company or other.company)
        compared.append(row.model_copy(update={"break_even_queries": queries, "break_even_company": company}))
    return compared


def _with_tiers(made: list[Row], groups: list[list[Record]], find: Find, known: KnownBoards | None) -> list[Row]:
    """The same rows, those with a score in tiers where there are others to compare with; groups: their records."""
    sort_score = scorer()
    entries = {
        number: Entry(row.method_text, sort_score(row), group)
        for number, (row, group) in enumerate(zip(made, groups, strict=True))
        if has_score(row)
    }
    found = standings(entries, find, known)
    return [
        row.model_copy(update=found[number].model_dump()) if number in found else row for number, row in enumerate(made)
    ]


def rows(records: Iterable[Record], find: Find = no_predictions, known: KnownBoards | None = None) -> list[Row]:
    """Rows by task, backbone and shots, the best score first; what has no score comes last, never hidden.

    Methods that were run with several templates have a further row: the mean over templates.

    find: looks up the predictions of a record, by which methods with few episodes are compared. known: boards of the
    store, whose scores and standings are computed once.

    Returns:
        The rows.
    """
    found = pooled_with_others(records)
    groups = [group for group, _ in found]
    name = table_names(group[0] for group in groups)
    scores = [row_score(group) for group in groups] if known is None else known.scores(groups)
    made = [_row(group, others, name(group[0]), score) for (group, others), score in zip(found, scores, strict=True)]
    over = [_row_over(each, name(each.first)) for each in over_templates(groups)]
    sort_score = scorer()
    return sorted(
        mark_pareto([*_with_tiers(made, groups, find, known), *over]),
        key=lambda row: (
            row.task,
            row.backbone,
            shots_rank(row.shots),
            row.value is None,
            -sort_score(row),
            row.method,
        ),
    )
