"""Repeated measurements: when there are enough of them, and their summary."""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate
from math import comb

from bench.meters.stage import StageCost
from bench.spec.costs import StageCosts

LEAST, MOST = 3, 20
"""Numbers of repeats of a stage."""
SHORT = 0.002
"""Seconds below which a stage has more repeats."""
LEAST_SHORT, MOST_SHORT = 10, 24
"""Numbers of repeats of a short stage."""
PRECISION = 0.05
"""Share of a median within which both ends of its interval must lie."""
NEGLIGIBLE = 0.02
"""Share of the time of both stages together within which they may lie as well: a stage of a millisecond beside one of a
second need not be known better."""
PATIENCE = 60.0
"""Seconds within which the first LEAST repeats must end; the record holds the number of repeats."""
REFINING = 3.0
"""Seconds within which further repeats must end, where the median is not yet known, those of all processes together."""
FASTER, FASTER_SECONDS = 1.25, 0.002
"""Ratio and difference by which the first pass of a process must exceed later ones for its method to count as one that
remembers items, which episodes of a small pool have in common."""
LONG = 5.0
"""Seconds of a pass that is not repeated where its operations may be counted in it. Counting adds some per cent; four
more passes would make a minute of a run of ten seconds."""
OUTSIDE = 0.025
"""Largest probability that the median lies beyond either end of its interval."""


def median_interval(seconds: Sequence[float]) -> tuple[float, float]:
    """Distribution-free interval of a median between two order statistics (David and Nagaraja, Order Statistics, 7.1).

    Args:
        seconds: Measurements, one at least.

    Returns:
        The ends of the 95% interval; of fewer than six measurements the least and the greatest, which cover the median
        in 75% of cases with three and 94% with five.
    """
    ordered = sorted(seconds)
    place = _place(len(ordered))
    return ordered[place - 1], ordered[-place]


@cache
def _place(size: int) -> int:
    """Place of the lower end of a median's interval among ordered measurements, from 1 on."""
    # As many lie below the median as a coin shows heads; scipy.stats, which has this quantile, takes long to import.
    up_to = accumulate(comb(size, heads) for heads in range(size + 1))
    return max(1, next(heads for heads, ways in enumerate(up_to) if ways >= OUTSIDE * 2**size))


def is_known(seconds: Sequence[float], beside: float = 0.0, own: int = 0) -> bool:
    """Whether a median is known, after as many repeats as the duration of its stage requires.

    Args:
        seconds: Measurements of one stage, one at least.
        beside: Median seconds of the episode's other stage.
        own: Number of the measurements that this process made, where it is one of LEAST that share the repeats: each
            is to make no more than its share.

    Returns:
        True where both ends of the median's interval lie within PRECISION of it, or within NEGLIGIBLE of both stages'
        time; also where MOST or MOST_SHORT measurements were taken.
    """
    middle = statistics.median(seconds)
    count = max(len(seconds), own * LEAST)
    if middle == 0:
        return count >= LEAST
    tolerated = NEGLIGIBLE * (middle + beside)
    least, most = (LEAST_SHORT, MOST_SHORT) if tolerated < middle < SHORT else (LEAST, MOST)
    low, high = median_interval(seconds)
    precise = max(high - middle, middle - low) <= max(PRECISION * middle, tolerated)
    return count >= most or (count >= least and precise)


def stages_known(passes: Sequence[tuple[float, float]], own: int = 0) -> bool:
    """Whether the medians of both stages are known.

    Args:
        passes: Seconds of adapting and of answering, of each pass; one at least.
        own: As for ``is_known``.

    Returns:
        Whether both are.
    """
    adapt, query = ([each[stage] for each in passes] for stage in (0, 1))
    return is_known(adapt, statistics.median(query), own) and is_known(query, statistics.median(adapt), own)


def gets_faster(processes: Sequence[Sequence[tuple[float, float]]]) -> bool:
    """Whether the first pass of a process takes longer than those after it, as where a method remembers items.

    Args:
        processes: Seconds of adapting and of answering, of each pass of each process, in order.

    Returns:
        Whether the medians of either stage differ by FASTER and FASTER_SECONDS.
    """
    first = [passes[0] for passes in processes if passes]
    later = [each for passes in processes for each in passes[1:]]
    if not later:
        return False
    medians = ([statistics.median(each[stage] for each in passes) for passes in (first, later)] for stage in (0, 1))
    return any(begun > max(FASTER * then, then + FASTER_SECONDS) for begun, then in medians)


class Patience:
    """Clock of repeated work: whether another repeat would end in time.

    Attributes:
        processes: Number of processes that share the repeats and the time for them.
        longest: Seconds of the longest repeat.
    """

    def __init__(self, processes: int = 1, once: bool = False) -> None:
        """Start the clock.

        Args:
            processes: Number of processes that share the repeats; this is one of them.
            once: Whether nothing is repeated, as in a quick look.
        """
        self.processes, self.once = processes, once
        self.began = self.last = time.perf_counter()
        self.longest = 0.0

    def lasts(self, repeats: int, least: int | None = None) -> bool:
        """Note the end of a repeat.

        Args:
            repeats: Number of repeats so far.
            least: Number of repeats that PATIENCE is for, REFINING is for further ones; None for this process's share
                of LEAST.

        Returns:
            Whether there is time for another.
        """
        now = time.perf_counter()
        self.longest, self.last = max(self.longest, now - self.last), now
        if self.once:
            return False
        first = repeats < (LEAST / self.processes if least is None else least)
        limit = PATIENCE if first else min(PATIENCE, REFINING / self.processes)
        return now - self.began + self.longest <= limit


def repeated(measure: Callable[[], StageCost]) -> list[StageCost]:
    """Measure one stage until its median is known, or as often as there is time.

    Args:
        measure: Takes one measurement.

    Returns:
        The measurements, one at least.
    """
    patience = Patience()
    costs = [measure()]
    while not is_known([cost.seconds for cost in costs]) and patience.lasts(len(costs)):
        costs.append(measure())
    return costs


def takes_long(seconds: float) -> bool:
    """Whether a pass is not worth being repeated.

    Args:
        seconds: Seconds of the pass.

    Returns:
        Whether they are LONG or more.
    """
    return seconds >= LONG


def stage_costs(costs: Sequence[StageCost], flops: int | None) -> StageCosts:
    """Summary of the repeats of one stage.

    Args:
        costs: Cost of each repeat, one at least.
        flops: Floating-point operations of the stage; None where they were not counted.

    Returns:
        Median, its interval and interquartile range of the seconds, and the highest peak memory.
    """
    seconds = [cost.seconds for cost in costs]
    quarters = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else [seconds[0]] * 3
    reserved = [cost.reserved_memory_mb for cost in costs if cost.reserved_memory_mb is not None]
    low, high = median_interval(seconds) if len(seconds) >= LEAST else (None, None)
    return StageCosts(
        seconds=statistics.median(seconds),
        seconds_spread=quarters[2] - quarters[0],
        seconds_low=low,
        seconds_high=high,
        peak_memory_mb=max(cost.peak_memory_mb for cost in costs),
        reserved_memory_mb=max(reserved) if reserved else None,
        flops=flops,
    )
