"""Repeated measurements and their summary."""

import statistics
import time
from collections.abc import Callable, Sequence

from bench.meters.stage import StageCost
from bench.spec.costs import StageCosts

REPEATS = 5
PATIENCE = 60.0
"""Seconds after which no further repeat begins; the record holds the number of repeats."""


def repeated(measure: Callable[[], None]) -> None:
    """Call a measurement once to warm up and then REPEATS times, or as often as PATIENCE allows.

    Args:
        measure: Takes one measurement and keeps its result.
    """
    began, longest = time.perf_counter(), 0.0
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        measure()
        longest = max(longest, time.perf_counter() - start)
        if time.perf_counter() - began + longest > PATIENCE:
            return


def leaves_no_repeat(seconds: float) -> bool:
    """Whether a measurement of this many seconds leaves no time for a repeat.

    Args:
        seconds: Seconds of the measurement with its warm-up.
    """
    return seconds > PATIENCE


def stage_costs(costs: Sequence[StageCost], flops: int | None) -> StageCosts:
    """Summary of the repeats of one stage.

    Args:
        costs: Cost of each repeat, one at least.
        flops: Floating-point operations of the stage; None where they were not counted.

    Returns:
        Median and interquartile range of the seconds, and the highest peak memory.
    """
    seconds = [cost.seconds for cost in costs]
    quarters = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else [seconds[0]] * 3
    reserved = [cost.reserved_memory_mb for cost in costs if cost.reserved_memory_mb is not None]
    return StageCosts(
        seconds=statistics.median(seconds),
        seconds_spread=quarters[2] - quarters[0],
        peak_memory_mb=max(cost.peak_memory_mb for cost in costs),
        reserved_memory_mb=max(reserved) if reserved else None,
        flops=flops,
    )
