"""One row per task, backbone, method, config and number of shots; seeds are pooled."""

import json
import statistics
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from pydantic import BaseModel, ConfigDict

from bench.metrics import LOWER_IS_BETTER, Score, summarise
from bench.records import Record, Status
from bench.spec import Shots


class Row(BaseModel):
    """What a leaderboard shows of a method. Costs are medians over seeds of one episode's cost.

    value and ci95 are in percent for accuracy; None unless the status is ok. n_shot is 0 for a method
    that uses no support set. seeds and n_episodes are counted over all pooled records.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    backbone: str
    method: str
    config: str
    n_shot: Shots
    seeds: int
    n_episodes: int
    metric: str
    value: float | None
    ci95: float | None
    encode_seconds: float | None
    adapt_seconds: float | None
    query_milliseconds: float | None
    peak_memory_mb: float | None
    state_mb: float | None
    trainable_params: int | None
    status: Status
    reason: str


def config_text(config: dict[str, Any]) -> str:
    """What differs from the defaults, as on the command line."""
    return ",".join(f"{name}={value}" for name, value in sorted(config.items()))


def _shots_rank(shots: Shots) -> float:
    return float("inf") if shots == "full" else shots


def _key(record: Record) -> tuple[Any, ...]:
    spec = record.spec
    protocol = (spec.n_way or 0, spec.n_query or 0, spec.precision, record.identity.get("device", ""))
    return (
        spec.task, spec.backbone, _shots_rank(spec.n_shot), spec.method, config_text(spec.config), protocol,
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
    return Row(
        task=first.spec.task,
        backbone=first.spec.backbone,
        method=first.spec.method,
        config=config_text(first.spec.config),
        n_shot=first.spec.n_shot,
        seeds=len(records),
        n_episodes=len(scores),
        metric=first.metric,
        value=score.value if score else None,
        ci95=score.ci95 if score else None,
        encode_seconds=_median([cost.encode_seconds for cost in costs]),
        adapt_seconds=_median([cost.adapt_seconds for cost in costs]),
        query_milliseconds=_median([cost.query_milliseconds for cost in costs]),
        peak_memory_mb=_median([cost.peak_memory_mb for cost in costs]),
        state_mb=_median([cost.state_mb for cost in costs]),
        trainable_params=costs[0].trainable_params if costs else None,
        status=first.status,
        reason=first.reason,
    )


def rows(records: Iterable[Record]) -> list[Row]:
    """Rows by task, backbone and shots, the best score first; what has no score comes last, never hidden."""
    ordered = sorted(_current(records), key=_row_key)
    made = [_row(list(group)) for _, group in groupby(ordered, key=_row_key)]
    return sorted(
        made,
        key=lambda row: (
            row.task,
            row.backbone,
            _shots_rank(row.n_shot),
            row.value is None,
            (row.value or 0.0) * (1 if row.metric in LOWER_IS_BETTER else -1),
            row.method,
        ),
    )
