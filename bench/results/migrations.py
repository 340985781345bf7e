"""Migrations of records from one schema version to the next."""

import math
from collections.abc import Callable
from typing import Any

from bench.contracts.errors import UsageError
from bench.contracts.kinds import CLASSIFICATION
from bench.contracts.site import Site
from bench.registry import OLD_FIELDS, OLD_NAMES, make_metric, task_class
from bench.spec.aliases import current_task, renamed_keys
from bench.stats.intervals import Interval


def _stage(seconds: float, peak_memory_mb: float) -> dict[str, Any]:
    return {"seconds": seconds, "seconds_spread": 0.0, "peak_memory_mb": peak_memory_mb}


def _to_2(record: dict[str, Any]) -> dict[str, Any]:
    """Costs by stage. Values that version 1 did not measure are 0, and counts are None."""
    old = record.get("costs")
    if old is None:
        return {**record, "schema_version": 2}
    n_episodes = max(1, len(record.get("episode_scores", [])))
    n_queries = record.get("n_queries", 0) // n_episodes
    n_shot, n_way = record["spec"]["n_shot"], record["spec"]["n_way"]
    costs = {
        "encode": _stage(old["encode_seconds"], old["encode_peak_memory_mb"]),
        "adapt": _stage(old["adapt_seconds"], old["adapt_peak_memory_mb"]),
        "query": _stage(old["query_milliseconds"] * n_queries / 1000, old["query_peak_memory_mb"]),
        "encode_sample": 0,
        "encode_wall_seconds": old["encode_wall_seconds"],
        # Known only where the number of classes was given.
        "n_support": n_shot * n_way if isinstance(n_shot, int) and n_way else 0,
        "n_queries": n_queries,
        "state_mb": old["state_mb"],
        "optimizer_mb": 0.0,
        "trainable_params": old["trainable_params"],
        "steps": 0,
        "tokens": 0,
        "memory_meter": old["memory_meter"],
        "process": "same",
        "repeats": old["repeats"],
    }
    return {**record, "schema_version": 2, "costs": costs}


def _to_3(record: dict[str, Any]) -> dict[str, Any]:
    """A side file of predictions. Version 2 has none, and they cannot be recovered."""
    return {**record, "schema_version": 3, "outcomes": None}


def _to_4(record: dict[str, Any]) -> dict[str, Any]:
    """Present names of a run's fields and task and of a record; the device beside the costs that were measured on it.

    The identity, whose hash is the record's id, is unchanged: it names no protocol, which makes the record one of
    protocol 1.

    Returns:
        The record of version 4.
    """
    spec = current_task(renamed_keys(record["spec"]))
    default = Site.FEATURES if _has_classes(record) else Site.HIDDEN_STATES
    spec |= _present_method(spec, default)
    if spec.get("match"):
        spec["match"] = spec["match"] | _present_method(spec["match"], default)
    costs = record.get("costs")
    if costs is not None:
        costs = {**costs, "device": str(record["identity"].get("device", "unknown"))}
    content = {name: value for name, value in record.items() if name not in {"excesses", "outcomes"}}
    changed = {"predictions": record["outcomes"], "violations": record.get("excesses", {})}
    return {**content, "schema_version": 4, "spec": spec, "costs": costs, **changed}


def _to_5(record: dict[str, Any]) -> dict[str, Any]:
    """Two ends in place of the half-width of an interval, inside the bounds of the metric."""
    content = {name: value for name, value in record.items() if name != "ci95"}
    value, half = record.get("value"), record.get("ci95")
    ends: dict[str, Any] = {"ci_low": None, "ci_high": None}
    if value is not None and half is not None:
        interval = Interval(value - half, value + half).clipped(*_bounds(record.get("metric", "accuracy")))
        ends = {"ci_low": interval.low, "ci_high": interval.high}
    return {**content, "schema_version": 5, **ends}


def _to_6(record: dict[str, Any]) -> dict[str, Any]:
    """The same fields; files of version 6 have a digest beside them."""
    return {**record, "schema_version": 6}


def _bounds(metric: str) -> tuple[float, float]:
    """Bounds of a metric; none if it is not installed any more."""
    try:
        return make_metric(metric).bounds
    except UsageError:
        return -math.inf, math.inf


def _present_method(named: dict[str, Any], default: Site) -> dict[str, Any]:
    """``method`` and ``config`` under their present names, the site among the fields where it is not the default."""
    method, implied = OLD_NAMES.get(named["method"], (named["method"], {}))
    config = {OLD_FIELDS.get(name, name): value for name, value in named.get("config", {}).items()}
    return {"method": method, "config": config if implied.get("site") in {None, default} else implied | config}


def _has_classes(record: dict[str, Any]) -> bool:
    """Whether the task is one of classification; without a score, only the task itself shows it."""
    if record["status"] == "ok":
        return bool(record.get("metric", "accuracy") == "accuracy")
    try:
        return task_class(record["spec"]["task"]).kind in CLASSIFICATION
    except UsageError:  # the task is not installed any more
        return True


MIGRATIONS: dict[Any, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _to_2, 2: _to_3, 3: _to_4, 4: _to_5, 5: _to_6}
"""Migration from each version to the next."""
