"""One row per task, backbone, method, config and number of shots; seeds are pooled."""

import json
import statistics
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from pydantic import BaseModel, ConfigDict

from bench.costs import break_even_queries
from bench.metrics import LOWER_IS_BETTER, Score, summarise
from bench.records import Record, Status
from bench.spec import RunSpec, Shots


class Row(BaseModel):
    """What a leaderboard shows of a method. Costs are medians over seeds of one episode's cost.

    budget: what it was held to, as asked. seconds_once: until the first query can be answered, from raw examples;
    query_seconds: of one query, from its raw input. break_even_queries: from how many queries on it costs less time in
    all than the method it is compared with; None where that never comes, or nothing was compared. front: whether no
    method of its task and shots is at least as good and cheaper, in time until the first query or in peak memory.

    tuning_trials, tuning_seconds: of the search that its config came from, 0 where nobody searched.
    value and ci95 are in percent for accuracy; None unless the status is ok. n_shot is 0 for a method
    that uses no support set. seeds and n_episodes are counted over all pooled records.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    backbone: str
    method: str
    config: str
    budget: str
    tuning_trials: int
    tuning_seconds: float
    n_shot: Shots
    seeds: int
    n_episodes: int
    metric: str
    value: float | None
    ci95: float | None
    encode_seconds: float | None
    adapt_seconds: float | None
    adapt_seconds_spread: float | None
    seconds_once: float | None
    query_seconds: float | None
    query_milliseconds: float | None
    peak_memory_mb: float | None
    state_mb: float | None
    optimizer_mb: float | None
    trainable_params: int | None
    steps: int | None
    tokens: int | None
    flops: int | None
    break_even_queries: float | None = None
    front: str = ""
    status: Status
    reason: str


def config_text(config: dict[str, Any]) -> str:
    """What differs from the defaults, as on the command line."""
    return ",".join(f"{name}={value}" for name, value in sorted(config.items()))


def budget_text(spec: RunSpec) -> str:
    """What a run was held to, as it was asked for."""
    return ";".join(str(part) for part in (spec.budget, spec.match) if part and str(part))


def _shots_rank(shots: Shots) -> float:
    return float("inf") if shots == "full" else shots


def _key(record: Record) -> tuple[Any, ...]:
    spec = record.spec
    protocol = (spec.n_way or 0, spec.n_query or 0, spec.precision, record.identity.get("device", ""))
    return (
        spec.task, spec.backbone, _shots_rank(spec.n_shot), spec.method, config_text(spec.config), budget_text(spec),
        spec.tuning.trials if spec.tuning else 0, protocol,
    )  # fmt: skip


def _row_key(record: Record) -> tuple[Any, ...]:
    return (*_key(record), record.status, record.metric)


def _version(record: Record) -> str:
    """Code, weights, data and libraries: all of a run's identity but its seed."""
    return json.dumps({name: value for name, value in record.identity.items() if name != "seed"}, sort_keys=True)


def _current(records: Iterable[Record]) -> list[Record]:
    """Records of the latest version of each row: what an older version scored is not pooled with it."""
    made: dict[tuple[Any, ...], dict[str, list[Record]]] = {}
    for record in records:
        made.setdefault(_key(record), {}).setdefault(_version(record), []).append(record)
    return [
        record
        for versions in made.values()
        for record in max(versions.values(), key=lambda group: max(one.provenance.get("finished", "") for one in group))
    ]


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def _score(records: list[Record], scores: list[float]) -> Score:
    """Over the episodes of all records; the interval of a single episode is that of its own metric."""
    first = records[0]
    if len(scores) == 1 and first.metric != "accuracy" and first.value is not None:
        return Score(first.value, first.ci95 or 0.0)
    return summarise(scores, sum(record.n_queries for record in records))


def _row(records: list[Record]) -> Row:
    first = records[0]
    costs = [record.costs for record in records if record.costs is not None]
    scores = [score for record in records for score in record.episode_scores]
    score = _score(records, scores) if scores else None
    tuning = first.spec.tuning
    return Row(
        task=first.spec.task,
        backbone=first.spec.backbone,
        method=first.spec.method,
        config=config_text(first.spec.config),
        budget=budget_text(first.spec),
        tuning_trials=tuning.trials if tuning else 0,
        tuning_seconds=tuning.seconds if tuning else 0.0,
        n_shot=first.spec.n_shot,
        seeds=len(records),
        n_episodes=len(scores),
        metric=first.metric,
        value=score.value if score else None,
        ci95=score.ci95 if score else None,
        encode_seconds=_median([cost.encode.seconds for cost in costs]),
        adapt_seconds=_median([cost.adapt.seconds for cost in costs]),
        adapt_seconds_spread=_median([cost.adapt.seconds_spread for cost in costs]),
        seconds_once=_median([cost.seconds_once for cost in costs]),
        query_seconds=_median([cost.seconds_each for cost in costs]),
        query_milliseconds=_median([cost.query_milliseconds for cost in costs]),
        peak_memory_mb=_median([cost.peak_memory_mb for cost in costs]),
        state_mb=_median([cost.state_mb for cost in costs]),
        optimizer_mb=_median([cost.optimizer_mb for cost in costs]),
        trainable_params=costs[0].trainable_params if costs else None,
        steps=costs[0].steps if costs else None,
        tokens=costs[0].tokens if costs else None,
        flops=costs[0].flops if costs else None,
        status=first.status,
        reason=first.reason,
    )


def _comparable(row: Row) -> tuple[Any, ...]:
    return row.task, row.backbone, row.n_shot, row.metric


def _worth(row: Row) -> float:
    """The score, larger for better."""
    return (row.value or 0.0) * (-1 if row.metric in LOWER_IS_BETTER else 1)


FRONTS = {"time": "seconds_once", "memory": "peak_memory_mb"}


def on_fronts(given: list[Row]) -> list[Row]:
    """The same rows, those on a Pareto front of score against cost marked."""
    scored = [row for row in given if row.status == "ok" and row.value is not None]

    def beaten(row: Row, cost: str) -> bool:
        own = getattr(row, cost), -_worth(row)
        others = ((getattr(other, cost), -_worth(other)) for other in scored if _comparable(other) == _comparable(row))
        return any(each != own and each[0] <= own[0] and each[1] <= own[1] for each in others if each[0] is not None)

    marked = []
    for row in given:
        fronts = [
            name
            for name, cost in FRONTS.items()
            if row in scored and getattr(row, cost) is not None and not beaten(row, cost)
        ]
        marked.append(row.model_copy(update={"front": "+".join(fronts)}))
    return marked


def against(given: list[Row], method: str) -> list[Row]:
    """The same rows with the number of queries from which on each costs less than ``method`` on the same task."""
    others = {_comparable(row): row for row in reversed(given) if row.method == method and row.seconds_once is not None}
    compared = []
    for row in given:
        other = others.get(_comparable(row))
        queries = None
        if other is not None and other is not row and row.seconds_once is not None:
            queries = break_even_queries(
                row.seconds_once - (other.seconds_once or 0.0),
                (other.query_seconds or 0.0) - (row.query_seconds or 0.0),
            )
        compared.append(row.model_copy(update={"break_even_queries": queries}))
    return compared


def rows(records: Iterable[Record]) -> list[Row]:
    """Rows by task, backbone and shots, the best score first; what has no score comes last, never hidden."""
    ordered = sorted(_current(records), key=_row_key)
    made = [_row(list(group)) for _, group in groupby(ordered, key=_row_key)]
    return sorted(
        on_fronts(made),
        key=lambda row: (
            row.task,
            row.backbone,
            _shots_rank(row.n_shot),
            row.value is None,
            -_worth(row),
            row.method,
        ),
    )
