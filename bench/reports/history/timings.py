"""Durations from JSON files of other programs, kept beside the costs of runs."""

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contracts.errors import UsageError, one_line
from bench.stats.distributions import QUARTILES


@dataclass(frozen=True)
class Timing:
    """A duration.

    Attributes:
        name: What takes so long.
        unit: Unit of the value.
        value: The duration, or another cost.
        spread: Relative standard deviation between its rounds; 0 where they are unknown.
        n: Number of rounds.
    """

    name: str
    unit: str
    value: float
    spread: float = 0.0
    n: int = 1


def read_timings(path: Path) -> list[Timing]:
    """Read durations.

    Args:
        path: JSON of one of three forms: rows with ``name``, ``unit`` and ``value`` (github-action-benchmark's
            customSmallerIsBetter, as ``make perf`` writes commands), pytest-benchmark's, or that of ``make peers``.

    Returns:
        The durations, without those that are not above 0.

    Raises:
        UsageError: If the file cannot be read, or has another form.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [timing for timing in _timings(content) if timing.value > 0]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"--timings needs JSON rows with name, unit and value, or JSON of pytest-benchmark or make peers; {path}: "
            f"{type(error).__name__}: {one_line(error)}"
        ) from error


def _timings(content: Any) -> Iterator[Timing]:
    if isinstance(content, list):
        for row in content:
            yield Timing(str(row["name"]), str(row["unit"]), float(row["value"]))
        return
    for row in content.get("benchmarks", ()):
        stats = row["stats"]
        spread = float(stats["iqr"]) / float(stats["median"]) / QUARTILES
        if "count" not in row.get("extra_info", {}):  # a number of calls, not a time
            yield Timing(str(row["name"]), "s", float(stats["median"]), spread, int(stats["rounds"]))
    for row in content["rows"] if "benchmarks" not in content else ():
        if rounds := [float(seconds) for seconds in row.get("ours") or ()]:
            spread = statistics.stdev(rounds) / statistics.mean(rounds) if len(rounds) > 1 else 0.0
            yield Timing(str(row["name"]), "s", statistics.median(rounds), spread, len(rounds))
