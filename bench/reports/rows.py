"""One row per task, backbone, method, config and number of shots; seeds are pooled."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, create_model, field_validator

from bench import registry
from bench.contracts.site import name_at_site
from bench.reports.known_boards import KnownBoards
from bench.reports.over_templates import OverTemplates, over_templates
from bench.reports.standings import Entry, standings
from bench.results.grouping import (
    budget_text,
    config_text,
    devices,
    pooled_with_others,
    shots_rank,
    table_names,
)
from bench.results.identity import protocol_of
from bench.results.record import Record, Status
from bench.results.row_sample import Find, no_predictions
from bench.results.scores import Score, row_score
from bench.spec.axes import AXES, Axis
from bench.spec.costs import Costs, break_even_queries
from bench.spec.suite import Shots
from bench.toolkit.versions import PROTOCOL
from bench.toolkit.visible import shortened, visible

LONGEST = 2000
"""Most characters of a text in a row; the record has it whole."""


class _RunRow(BaseModel):
    """What a leaderboard shows of a method. Costs are medians over seeds of one episode's cost.

    budget: the requested limits. time_to_first_query: seconds until the first query can be answered, from raw examples;
    query_seconds: of one query, from its raw input. break_even_queries: from how many queries on it costs less time in
    all than the method it is compared with; None where that never comes, or nothing was compared. pareto: whether no
    method of its task and shots is at least as good and cheaper, in time until the first query or in peak memory.

    device: models of the devices that costs were measured on; costs are those of the first of them, which has most
    records. protocol: the harness's, see ``bench.toolkit.versions``; rows of two protocols are not comparable.
    tuning_trials, tuning_seconds: of the search that its config came from, 0 where nobody searched.
    tier: 1 for the best and all that do not differ significantly from it (docs/statistics.md); None where there is
    nothing to compare with, or too few items for any difference. tiers, ranks: the tier, and the ranks that the tests
    leave open, as text; of a method that uses no support set, at each number of shots of the others. too_few: "too few
    to tell", and how many more items would do, where no difference on the board could be significant; else empty.
    value, ci_low and ci_high are in percent for accuracy; None unless the status is ok, the ends of the interval also
    with too few items. shots is 0 for a method that uses no support set. seeds and episodes are counted over all pooled
    records; runs are their ids.
    company: why times of a record count as measured in company (docs/budgets.md); empty where none do.
    break_even_company: whether break_even_queries rests on such times.
    class_embeddings: what its class embeddings stand for where they are not those of whole names, and empty elsewhere.
    form: which form of the method it is, where its notes say so, such as "untrained".
    templates: number of templates that the value is the mean over, 1 for the row of a single one; template_low and
    template_high: the lowest and the highest score with one of them; over_templates: the same as text.
    contract: whether the method's code passed the contract suite: "passed", "failed", "not run"; empty where a record
    does not say. transductive: whether an answer depends on the other queries. limit: most queries of a quick look,
    whose rows are of a table of their own; None for whole runs. others: number of further records of the
    same run that are not shown: of earlier versions, or with fewer episodes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="after")
    @classmethod
    def _visible(cls, value: Any) -> Any:
        return visible(shortened(value, LONGEST)) if isinstance(value, str) else value

    task: str
    backbone: str
    method: str
    config: str
    budget: str
    tuning_trials: int
    tuning_seconds: float
    shots: Shots
    seeds: int
    episodes: int
    metric: str
    value: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    tier: int | None = None
    tiers: str = ""
    ranks: str = ""
    too_few: str = ""
    protocol: int = PROTOCOL
    device: str = ""
    break_even_queries: float | None = None
    company: str = ""
    break_even_company: bool = False
    pareto: str = ""
    class_embeddings: str = ""
    form: str = ""
    templates: int = 1
    template_low: float | None = None
    template_high: float | None = None
    over_templates: str = ""
    contract: str = ""
    transductive: bool = False
    limit: int | None = None
    others: int = 0
    status: Status
    reason: str
    runs: tuple[str, ...]

    @property
    def method_text(self) -> str:
        """The method with the fields that differ from its defaults, as ``method_text`` of a run has it."""
        return f"{self.method} [{self.config}]" if self.config else self.method


if TYPE_CHECKING:

    class Row(_RunRow):
        """A row of a leaderboard; besides its own fields it has one for each axis of cost."""

        def __init__(self, **fields: Any) -> None: ...

        def __getattr__(self, field: str) -> float | None: ...

else:
    Row = create_model(
        "Row",
        __base__=_RunRow,
        __doc__=_RunRow.__doc__,
        __module__=__name__,
        **{axis.row_field: ((int if axis.whole else float) | None, None) for axis in AXES if axis.row_field},
    )


def _pooled(axis: Axis, costs: list[Costs]) -> float | None:
    """A cost over seeds: the first count, or the median; None where nothing was measured."""
    values = [value for cost in costs if (value := axis.of_costs(cost)) is not None]
    if not values:
        return None
    return values[0] if axis.whole else statistics.median(values)


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
        company="; ".join(next((one.company for one in costs if one.company), ())),
        **{axis.row_field: _pooled(axis, costs) for axis in AXES if axis.row_field},
        class_embeddings=str(first.notes.get("class_embeddings", "")),
        form=str(first.notes.get("form", "")).partition(":")[0],
        contract=str(first.provenance.get("contract", "")),
        transductive=bool(first.provenance.get("transductive", False)),
        limit=first.spec.limit,
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


def _comparable(row: Row, shots: Shots | None = None) -> tuple[Any, ...]:
    """What rows have in common that are compared with each other, at their own or another number of shots."""
    return row.task, row.backbone, row.shots if shots is None else shots, row.metric, row.protocol


def _cost_device(row: Row) -> str:
    """The device that a row's costs are of: those of two models are not comparable."""
    return row.device.partition("; ")[0]


def scorer() -> Callable[[Row], float]:
    """A function from a row to its score, larger for better, that looks up each metric once."""
    metric = cache(registry.make_metric)
    return lambda row: 0.0 if row.value is None else metric(row.metric).sort_score(row.value)


FRONTS = {axis.front: axis for axis in AXES if axis.front}
"""The costs that Pareto fronts are of, by the front's name."""


def mark_pareto(given: list[Row]) -> list[Row]:
    """The same rows, those on a Pareto front of score against cost marked."""
    sort_score = scorer()
    entries = [_Scored(row, _comparable(row), _cost_device(row), sort_score(row)) for row in given if _has_score(row)]
    rivals: dict[tuple[Any, ...], list[_Scored]] = {}
    at_shots: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for entry in entries:
        if entry.key not in rivals:
            at_shots.setdefault(_comparable(entry.row, shots=0), []).append(entry.key)
        rivals.setdefault(entry.key, []).append(entry)

    def boards(entry: _Scored) -> list[list[_Scored]]:
        """Its rivals; a method without a support set is one at every number of shots, and has those of each of them."""
        always = _comparable(entry.row, shots=0)
        if entry.row.shots != 0:
            return [rivals[entry.key] + rivals.get(always, [])]
        return [rivals[entry.key] + rivals[key] * (key != entry.key) for key in at_shots[always]]

    def fronts(entry: _Scored, on_boards: list[list[_Scored]]) -> Iterator[str]:
        for name, axis in FRONTS.items():
            cost = getattr(entry.row, axis.row_field)
            if cost is not None and not all(_is_beaten(entry, cost, axis.row_field, board) for board in on_boards):
                yield name

    marks = {id(entry.row): "+".join(fronts(entry, boards(entry))) for entry in entries}
    return [row.model_copy(update={"pareto": marks.get(id(row), "")}) for row in given]


@dataclass(frozen=True)
class _Scored:
    """A row with a score, and what it is compared by."""

    row: Row
    key: tuple[Any, ...]
    device: str
    sort_score: float


def _has_score(row: Row) -> bool:
    return row.status == "ok" and row.value is not None


def _is_beaten(entry: _Scored, cost: float, field: str, board: list[_Scored]) -> bool:
    """Whether another row of a board, measured on the same device, is at least as good and costs no more."""
    for other in board:
        other_cost = getattr(other.row, field) if other.device == entry.device else None
        if other_cost is None or other_cost > cost or other.sort_score < entry.sort_score:
            continue
        if other_cost < cost or other.sort_score > entry.sort_score:
            return True
    return False


def against(given: list[Row], method: str) -> list[Row]:
    """The same rows with the number of queries from which on each costs less than ``method`` on the same task."""
    others = {
        (*_comparable(row), _cost_device(row)): row
        for row in reversed(given)
        if row.method == method and row.time_to_first_query is not None
    }
    compared = []
    for row in given:
        other = others.get((*_comparable(row), _cost_device(row)))
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
        if row.status == "ok" and row.value is not None
    }
    found = standings(entries, find, known)
    return [
        row.model_copy(update=found[number].model_dump()) if number in found else row for number, row in enumerate(made)
    ]


def rows(records: Iterable[Record], find: Find = no_predictions, known: KnownBoards | None = None) -> list[Row]:
    """Rows by task, backbone and shots, the best score first; what has no score comes last, never hidden.

    Methods that were run with several templates have a further row: the mean over templates.

    find: looks up the predictions of a record, by which methods with few episodes are compared. known: boards of the
    store, whose standings are computed once.

    Returns:
        The rows.
    """
    found = pooled_with_others(records)
    groups = [group for group, _ in found]
    name = table_names(group[0] for group in groups)
    made = [_row(group, others, name(group[0]), row_score(group)) for group, others in found]
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
