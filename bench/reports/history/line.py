"""Lines of a history: one quantity of one row over all states that it is comparable in."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.reports.history.point import Kind, Point, State
from bench.reports.row_names import RowKey
from bench.stats.distributions import normal_quantile
from bench.stats.intervals import Floats

_MAD = 1.4826
"""Standard deviation of a normal distribution in its median absolute deviations."""


@dataclass(frozen=True)
class Line:
    """One quantity of one row over states, in the order of their times.

    Attributes:
        row: The row.
        kind: "score" or "cost".
        quantity: The metric, the cost, or "time".
        unit: Unit of the values.
        machine: Model of the device of a cost; empty for scores, which no device changes.
        points: Its points, each with a value.
    """

    row: RowKey
    kind: Kind
    quantity: str
    unit: str
    machine: str
    points: tuple[Point, ...]

    @cached_property
    def counted(self) -> tuple[Point, ...]:
        """Points that changes are looked for in: those measured alone, where at least half of all were."""
        alone = tuple(point for point in self.points if not point.company)
        return alone if 2 * len(alone) >= len(self.points) else self.points

    @cached_property
    def signal(self) -> Floats:
        """``[point]`` of ``counted``: scores as they are, logarithms of costs."""
        values = np.array([point.value for point in self.counted], dtype=np.float64)
        return np.log(values) if self.kind == "cost" else values

    @cached_property
    def least(self) -> float:
        """Standard deviation that is assumed at least, on the scale of ``signal``."""
        last = self.counted[-1]
        return math.log1p(last.least) / _LEAST if self.kind == "cost" else last.least

    @cached_property
    def noise(self) -> float:
        """Standard deviation of ``signal`` between states of unchanged code.

        It is the largest of three: that between successive states, robust against changes among them; that which each
        point states for itself, by a score's interval or by the spread of a cost; and ``least``. States that answered
        the same episodes differ by no draw, so that the intervals of their scores do not count.
        """
        steps = np.abs(np.diff(self.signal))
        between = _MAD * float(np.median(steps)) / 2**0.5 if len(steps) else 0.0
        stated = float(np.median([_stated(point) for point in self.counted]))
        if len({point.episodes for point in self.counted}) == 1 and self.kind == "score":
            stated = 0.0
        return max(between, stated, self.least)

    def is_small(self, before: float, after: float) -> bool:
        """Whether a change never counts, however sure it is.

        Args:
            before: Level before it, on the scale of ``signal``.
            after: Level after it.

        Returns:
            True below the least change of the quantity.
        """
        last = self.counted[-1]
        if self.kind == "score":
            return abs(after - before) < last.least
        one, two = math.exp(before), math.exp(after)
        return abs(after - before) < math.log1p(last.least) or abs(two - one) < last.least_change


_LEAST = 4.0
"""Least changes of a cost in its least noise."""


def _stated(point: Point) -> float:
    """Standard error that a point states for itself, on the scale of a line's signal."""
    if point.kind == "cost":
        return point.spread / math.sqrt(max(1, point.n))
    if point.low is None or point.high is None:
        return 0.0
    return (point.high - point.low) / 2 / normal_quantile(0.975)


def lines_of(points: Iterable[Point]) -> list[Line]:
    """The lines of a history.

    Args:
        points: Points in the order of their times.

    Returns:
        A line for each row, quantity and, of costs, machine; one for each data and protocol that scores are of.
    """
    found: dict[tuple[RowKey, Kind, str, str, str, str], list[Point]] = {}
    for point in points:
        if point.value is not None:
            machine = point.state.machine if point.kind == "cost" else ""
            key = point.row, point.kind, point.quantity, point.unit, machine, point.draw
            found.setdefault(key, []).append(point)
    order = sorted(found, key=lambda key: (key[0], key[1] == "cost", *key[2:]))
    return [Line(*key[:-1], points=tuple(found[key])) for key in order]


def states_of(points: Iterable[Point]) -> list[State]:
    """The states of a history.

    Args:
        points: Points in the order of their times.

    Returns:
        The states, each once.
    """
    return list({point.state.id: point.state for point in points}.values())
