"""Ratios of two runs' costs, measured in turn: A B A B, so that what else the host does meets both alike."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.contracts import UsageError
from bench.costs.budget_fit import item_counts
from bench.costs.passes import PassRequest, TimedPasses, timed_passes
from bench.costs.protocol import CostRequest, CostResult, prepared
from bench.costs.repeats import MOST, PRECISION, Patience
from bench.engine.group_result import GroupResult
from bench.engine.worker import Worker
from bench.spec.axes import AXES
from bench.spec.conditions import Conditions, combined
from bench.spec.costs import break_even_queries
from bench.stats.distributions import t_quantile
from bench.stats.intervals import ALPHA

LEAST_PAIRS = 6
"""Smallest number of pairs, unless time runs out."""
COSTS: dict[tuple[str, str], Callable[[GroupResult], float]] = {
    ("adapt", "s"): lambda result: result.adapt.seconds,
    ("query", "ms"): lambda result: 1000 * result.query.seconds / max(1, result.n_queries),
    ("peak", "MB"): lambda result: max(result.adapt.peak_memory_mb, result.query.peak_memory_mb),
}
"""The compared costs by title and unit: of adapting, of one query, and of both stages."""
TIMED = ("s", "ms")
WITH_ENCODING = frozenset({"time_to_first_query", "seconds_per_query", "peak_memory_mb"})
"""Axes of cost that count encoding."""


@dataclass(frozen=True)
class Ratio:
    """Ratio of one cost of two runs.

    Attributes:
        cost: Title of the cost.
        unit: Its unit.
        a: Median of the first run.
        b: Median of the second run.
        ratio: Geometric mean of ``a / b`` over pairs; None where a cost is 0.
        low: Lower end of its 95% interval by Student's t on logarithms; None as above, and for a single pair.
        high: Upper end.
    """

    cost: str
    unit: str
    a: float
    b: float
    ratio: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class InTurn:
    """Costs of two runs, measured in turn.

    Attributes:
        ratios: One for each of COSTS.
        axes: One for each axis of cost that was measured, with its name as ``Ratio.cost``; those of WITH_ENCODING are
            left out unless encoding was measured.
        break_even: Number of queries from which on the first run costs less time than the second, and both ends of
            its 95% interval by bootstrap over pairs; infinite where that never comes.
        break_even_of_b: The same of the second run against the first.
        pairs: Number of pairs.
        conditions: Load of the host meanwhile.
    """

    ratios: tuple[Ratio, ...]
    axes: tuple[Ratio, ...]
    break_even: tuple[float, float, float]
    break_even_of_b: tuple[float, float, float]
    pairs: int
    conditions: Conditions


def measure_in_turn(worker: Worker, a: CostRequest, b: CostRequest, encoded: bool = False) -> InTurn:
    """Measure two runs in turn until the ratios of their times are known within PRECISION.

    Args:
        worker: Runs the passes, each in a process of its own.
        a: The first run.
        b: The second run.
        encoded: Whether both requests have the cost of encoding.

    Returns:
        Ratios of LEAST_PAIRS to MOST pairs, fewer where PATIENCE ends first.

    Raises:
        UsageError: If a run exceeds its budget.
    """
    ready = [_ready(worker, request) for request in (a, b)]
    results: tuple[list[GroupResult], list[GroupResult]] = ([], [])
    conditions: list[Conditions] = []
    patience = Patience()
    while True:
        for each, kept in zip(ready, results, strict=True):
            timed: TimedPasses = worker.call(timed_passes, each)
            if timed.violation:
                raise UsageError(f"{each.run.method_at_site} exceeds its budget: {timed.violation}")
            kept += timed.results[:1]
            conditions.append(timed.conditions)
        ratios = tuple(_ratio(*cost, *(list(map(of, side)) for side in results)) for cost, of in COSTS.items())
        pairs = len(results[0])
        if pairs >= MOST or (pairs >= LEAST_PAIRS and _are_known(ratios)) or not patience.lasts(pairs, LEAST_PAIRS):
            first, second = _times(a, results[0]), _times(b, results[1])
            ends = break_even_interval(first, second), break_even_interval(second, first)
            axes = _axes(a, results[0], b, results[1], encoded)
            return InTurn(ratios, axes, *ends, pairs, combined(conditions))


def log_ratio_interval(a: Sequence[float], b: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Geometric mean of paired ratios, and its 95% interval by Student's t on logarithms.

    Args:
        a: Positive numbers.
        b: Their partners, in the same order.

    Returns:
        The mean and both ends of its interval; no ends for a single pair.
    """
    logs = np.log(a) - np.log(b)
    middle = float(np.exp(logs.mean()))
    if len(logs) < 2:
        return middle, None, None
    reach = float(t_quantile(1 - ALPHA / 2, len(logs) - 1) * logs.std(ddof=1) / len(logs) ** 0.5)
    return middle, middle * float(np.exp(-reach)), middle * float(np.exp(reach))


def break_even_interval(
    a: NDArray[np.float64], b: NDArray[np.float64], resamples: int = 2000
) -> tuple[float, float, float]:
    """Number of queries from which on a run costs less time in all than another, with a bootstrap interval.

    Args:
        a: ``[pair, 2]``, seconds until the first query can be answered and seconds of each query.
        b: The same for the other run.
        resamples: Number of bootstrap samples of pairs.

    Returns:
        The break-even of the medians, and the 2.5% and 97.5% quantiles over samples; infinite for never.
    """
    chosen = np.random.default_rng(0).integers(len(a), size=(resamples, len(a)))

    def queries(medians: tuple[NDArray[np.float64], NDArray[np.float64]]) -> float:
        (setup, each), (other_setup, other_each) = medians
        found = break_even_queries(float(setup - other_setup), float(other_each - each))
        return float("inf") if found is None else found

    middle = queries((np.median(a, axis=0), np.median(b, axis=0)))
    sampled = sorted(map(queries, zip(np.median(a[chosen], axis=1), np.median(b[chosen], axis=1), strict=True)))
    return middle, sampled[int(0.025 * resamples)], sampled[int(0.975 * resamples)]


def _times(request: CostRequest, results: Sequence[GroupResult]) -> NDArray[np.float64]:
    """``[pair, 2]``, seconds until the first query and of each query, encoding included."""
    n_support, n_queries = item_counts(request.payloads[0].episodes)
    each = request.encode.seconds / max(1, n_support + n_queries)
    return np.array(
        [
            (each * n_support + result.adapt.seconds, each + result.query.seconds / max(1, n_queries))
            for result in results
        ]
    )


def _ready(worker: Worker, request: CostRequest) -> PassRequest:
    """The request of one timed pass over a run's first episode."""
    found = prepared(worker, request)
    if isinstance(found, CostResult):
        exceeded = "; ".join(map(str, found.violations))
        raise UsageError(f"{request.run.method_at_site} exceeds its budget: {exceeded}")
    return replace(found.passes, payloads=request.payloads[:1])


def _axes(
    a: CostRequest, of_a: Sequence[GroupResult], b: CostRequest, of_b: Sequence[GroupResult], encoded: bool
) -> tuple[Ratio, ...]:
    """Ratios by axis of cost."""
    first, second = _by_axis(a, of_a), _by_axis(b, of_b)
    units = {axis.name: axis.unit for axis in AXES}
    return tuple(
        _ratio(name, units[name], first[name], second[name]) for name in first if encoded or name not in WITH_ENCODING
    )


def _by_axis(request: CostRequest, results: Sequence[GroupResult]) -> dict[str, list[float]]:
    """Measurements by axis of cost, one of each pass."""
    times = _times(request, results)
    adapt, query, peak = (list(map(of, results)) for of in COSTS.values())
    return {
        "adapt_seconds": adapt,
        "query_milliseconds": query,
        "time_to_first_query": times[:, 0].tolist(),
        "seconds_per_query": times[:, 1].tolist(),
        "peak_memory_mb": [max(request.encode.peak_memory_mb, each) for each in peak],
    }


def _ratio(cost: str, unit: str, first: list[float], second: list[float]) -> Ratio:
    interval: tuple[float | None, float | None, float | None] = (None, None, None)
    if min(*first, *second) > 0:
        interval = log_ratio_interval(first, second)
    return Ratio(cost, unit, statistics.median(first), statistics.median(second), *interval)


def _are_known(ratios: Sequence[Ratio]) -> bool:
    """Whether the ratios of times lie within PRECISION of both ends of their intervals."""
    known = [ratio for ratio in ratios if ratio.unit in TIMED and ratio.ratio is not None]
    return all(one.high is not None and one.high <= (one.ratio or 0) * (1 + PRECISION) for one in known)
