"""Contradictions within a record: its run, identity, configuration, status, score, interval, costs and limits."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import BaseModel

from bench import registry
from bench.contracts.errors import UsageError
from bench.results.identity import FIRST_PROTOCOL, protocol_of
from bench.results.record import Record
from bench.results.scores import agrees, mean_score
from bench.spec.costs import Costs
from bench.stats.intervals import mean_interval
from bench.toolkit.versions import PROTOCOL

SAME = ("task", "prompt", "backbone", "method", "shots", "seed", "episodes", "queries", "ways", "precision")
"""Fields of a run that its identity has under the same names."""


def contradictions(record: Record) -> Iterator[str]:
    """What a record says in two places and not alike.

    Args:
        record: The record.

    Yields:
        A contradiction, in words.
    """
    # Identities of the first edition have the names of that time, and are kept as they are.
    if protocol_of(record.identity) > FIRST_PROTOCOL:
        yield from _of_identity(record)
    yield from _of_status(record)
    yield from _of_score(record)
    if record.costs is not None:
        yield from _of_costs(record, record.costs)


def _of_identity(record: Record) -> Iterator[str]:
    spec, identity = record.spec, record.identity
    for name in SAME:
        if name in identity and identity[name] != getattr(spec, name):
            yield f"the run's {name} is {getattr(spec, name)!r}, that of its identity {identity[name]!r}"
    if (spec.template != 0) != bool(identity.get("template", 0)):
        yield f"the run's template is {spec.template!r}, that of its identity {identity.get('template')!r}"
    if spec.limit != identity.get("limit"):
        yield f"the run's limit is {spec.limit!r}, that of its identity {identity.get('limit')!r}"
    known: Any = identity.get("config")
    for name, value in spec.config.items() if isinstance(known, dict) else ():
        if name in known and _differ(value, known[name]):
            yield f"the run's {name} is {value!r}, that of its identity {known[name]!r}"
    budget = identity.get("budget", {})
    if isinstance(budget, dict) and {name: value for name, value in budget.items() if value is not None} != (
        spec.budget.limits()
    ):
        yield f"the run's budget is {spec.budget.limits()}, that of its identity {budget}"
    tuning = spec.tuning.identity() if spec.tuning else None
    if "tuning" in identity and _plain(identity["tuning"]) not in (tuning, _plain(spec.tuning)):
        yield "the run's tuning is not that of its identity"


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else value


def _differ(one: Any, other: Any) -> bool:
    """Whether two values of a field are of one kind and differ; a text may stand for a number."""
    kinds = ((bool,), (int, float), (str,))
    for kind in kinds:
        if isinstance(one, kind) and isinstance(other, kind):
            return bool(one != other)
    return False


def _of_status(record: Record) -> Iterator[str]:
    scored = record.value is not None or bool(record.episode_scores)
    if record.status == "ok":
        if not scored or record.n_queries < 1:
            yield "it is ok without a score"
        if record.violations:
            yield "it is ok and exceeds a limit"
        if record.predictions is None and protocol_of(record.identity) == PROTOCOL:
            yield "it is ok without predictions"
    elif scored:
        yield f"it is {record.status} with a score"
    elif not record.reason:
        yield f"it is {record.status} without a reason"
    if record.predictions is not None and record.predictions.name != (
        f"{record.id}-{record.predictions.sha256[:16]}.parquet"
    ):
        yield "its file of predictions is named by another id or hash"
    for axis, limit in record.spec.budget.limits().items():
        if record.limits and record.limits.get(axis) != limit:
            yield f"its limit of {axis} is {record.limits.get(axis)}, that of the run {limit}"
    for axis, measured in record.violations.items():
        if axis not in record.limits or measured <= record.limits[axis]:
            yield f"{axis} exceeds no limit"


def _of_score(record: Record) -> Iterator[str]:
    scores, value = record.episode_scores, record.value
    if value is None or not scores:
        if (value is None) != (not scores) or record.ci_low is not None or record.ci_high is not None:
            yield "its value, scores and interval are not all there"
        return
    if not agrees(mean_score(scores), value):
        yield f"its value is {value}, the mean of its episodes {mean_score(scores)}"
    try:
        metric = registry.make_metric(record.metric)
    except UsageError:
        return
    low, high = metric.bounds
    if any(not low <= each <= high for each in [value, *scores]):
        yield f"its scores are not within the bounds of {record.metric}, {low:g} to {high:g}"
    if (record.ci_low is None) != (record.ci_high is None):
        yield "its interval has one end"
    if record.ci_low is None or record.ci_high is None:
        return
    slack = 1e-9 * max(1.0, abs(value))
    if not low - slack <= record.ci_low <= value + slack or not value - slack <= record.ci_high <= high + slack:
        yield f"its interval, {record.ci_low} to {record.ci_high}, does not hold its value {value}"
    if protocol_of(record.identity) == PROTOCOL and len(scores) > 1:
        found = mean_interval(np.array(scores), None, metric.scale, record.n_queries)
        if found is None or not (agrees(found.low, record.ci_low, 1e-6) and agrees(found.high, record.ci_high, 1e-6)):
            yield "its interval is not that of its episodes"


def _of_costs(record: Record, costs: Costs) -> Iterator[str]:
    for name, value in _numbers(costs.model_dump(), ""):
        if not math.isfinite(value) or value < 0:
            yield f"its costs have {name} = {value}"
    for name in ("encode", "adapt", "query"):
        stage = getattr(costs, name)
        ends = stage.seconds_low, stage.seconds_high
        if None not in ends and not ends[0] <= stage.seconds <= ends[1]:
            yield f"its costs have {name}.seconds = {stage.seconds} outside of the interval {ends[0]} to {ends[1]}"
    if record.status == "ok" and costs.n_queries > record.n_queries:
        yield f"its costs are of {costs.n_queries} queries, the run has {record.n_queries}"
    tuning = record.spec.tuning
    if (tuning.trials if tuning else 0) != costs.tuning_trials:
        yield f"its costs have {costs.tuning_trials} trials, the run's search {tuning.trials if tuning else 0}"


def _numbers(value: Any, name: str) -> Iterator[tuple[str, float]]:
    """All numbers of nested fields, with their dotted names."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _numbers(each, f"{name}.{key}".lstrip("."))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value
