"""Grouping of records: all seeds of the latest version of a run are one row of a leaderboard."""

import json
from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from bench.contracts.errors import did_you_mean
from bench.contracts.kinds import PromptStyle
from bench.contracts.site import name_at_site
from bench.results.identity import device_kind_of, protocol_of
from bench.results.record import Record
from bench.spec.aliases import TASK_ALIASES
from bench.spec.suite import RunSpec, Shots


def config_text(spec: RunSpec) -> str:
    """Fields that differ from the defaults, as on the command line; tuned values with four digits.

    The site is a part of the method's name.

    Args:
        spec: A run.

    Returns:
        For example ``alpha=0.8,scale=10``; empty for the defaults.
    """

    def text(value: Any) -> str:
        return f"{value:.4g}" if spec.tuning is not None and isinstance(value, float) else str(value)

    return ",".join(f"{name}={text(value)}" for name, value in sorted(spec.config.items()) if name != "site")


def budget_text(spec: RunSpec) -> str:
    """The limits of a run, as on the command line.

    Args:
        spec: A run.

    Returns:
        Budget and match, separated by a semicolon; empty without either.
    """
    return ";".join(str(part) for part in (spec.budget, spec.match) if part and str(part))


def task_text(spec: RunSpec) -> str:
    """Name of a task in tables, with the prompt style where that is not plain.

    Args:
        spec: A run.

    Returns:
        ``TASK`` or ``TASK [prompt=STYLE]``.
    """
    return _task_text(spec.task, spec.prompt)


def _task_text(task: str, prompt: PromptStyle) -> str:
    return task if prompt == "plain" else f"{task} [prompt={prompt}]"


def of_tasks(records: Iterable[Record], names: Iterable[str]) -> list[Record]:
    """The records of some tasks.

    Args:
        records: Records of any tasks.
        names: Tasks with or without their prompt style in brackets, or names of the first edition; none for all.

    Returns:
        The chosen records, in order.

    Raises:
        UsageError: For a task without records, with the closest name that has some.
    """
    found, chosen = list(records), {_task_text(*TASK_ALIASES.get(name, (name, "plain"))) for name in names}
    known = {name for record in found for name in (record.spec.task, task_text(record.spec))}
    for name in sorted(chosen - known):
        raise did_you_mean("the store's tasks", name, known)
    return [record for record in found if not chosen or {record.spec.task, task_text(record.spec)} & chosen]


def method_text(spec: RunSpec) -> str:
    """Name of a method in tables, with the fields that differ from its defaults.

    Args:
        spec: A run.

    Returns:
        ``NAME``, ``NAME@SITE`` or either with fields in brackets.
    """
    name, config = name_at_site(spec.method, spec.config), config_text(spec)
    return f"{name} [{config}]" if config else name


def shots_rank(shots: Shots) -> float:
    """Sort key of numbers of shots; the full support set is last.

    Args:
        shots: The number, or "full".

    Returns:
        The number, or infinity.
    """
    return float("inf") if shots == "full" else shots


def run_key(record: Record) -> tuple[Any, ...]:
    """Key that all seeds and versions of a run share; sorts by task, backbone, shots and method.

    Args:
        record: A record.

    Returns:
        The key.
    """
    spec = record.spec
    protocol = (spec.ways or 0, spec.queries or 0, spec.precision, device_kind_of(record.identity))
    return (
        task_text(spec), spec.backbone, shots_rank(spec.shots), spec.method, config_text(spec), budget_text(spec),
        spec.tuning.trials if spec.tuning else 0, protocol, json.dumps(spec.config, sort_keys=True, default=str),
    )  # fmt: skip


def _row_key(record: Record) -> tuple[Any, ...]:
    return (*run_key(record), record.status, record.metric)


def _version(record: Record) -> str:
    """Key of a version of a run: code, weights, data and libraries, its identity without the seed."""
    return json.dumps({name: value for name, value in record.identity.items() if name != "seed"}, sort_keys=True)


def _age(group: list[Record]) -> tuple[int, str]:
    """Sort key of versions of a run, each with its records: protocol, then time of the last record."""
    return protocol_of(group[0].identity), max(record.provenance.get("finished", "") for record in group)


def current(records: Iterable[Record]) -> list[Record]:
    """Records of the latest version of each run: of the highest protocol, and of its versions the last one.

    Scores of an older version are never pooled with those of the latest.

    Args:
        records: Records of any runs.

    Returns:
        The records that reports use.
    """
    made: dict[tuple[Any, ...], dict[str, list[Record]]] = {}
    for record in records:
        made.setdefault(run_key(record), {}).setdefault(_version(record), []).append(record)
    return [record for versions in made.values() for record in max(versions.values(), key=_age)]


def devices(records: Iterable[Record]) -> list[str]:
    """Models of the devices that costs were measured on, by number of records.

    Args:
        records: Records of any runs.

    Returns:
        Names, the most frequent first.
    """
    counted = Counter(record.costs.device for record in records if record.costs is not None)
    return sorted(counted, key=lambda device: (-counted[device], device))


def pooled(records: Iterable[Record]) -> list[list[Record]]:
    """Records by row of a leaderboard: those of the latest version with the same status and metric.

    Args:
        records: Records of any runs.

    Returns:
        A list of records, by seed, for each row.
    """
    ordered = sorted(current(records), key=lambda record: (_row_key(record), record.spec.seed))
    return [list(group) for _, group in groupby(ordered, key=_row_key)]
