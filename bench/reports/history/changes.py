"""Changes of a history: where the level of a line moved by more than its noise.

Change points are those of penalised least squares over all segmentations, by ``ruptures`` (Killick, Fearnhead, Eckley
2012; Truong, Oudre and Vayatis 2020). Each is then tested by Student's t of the segments on its two sides, adjusted for
all places and lines that it could have been found in, and the states that it may lie between are those of a likelihood
ratio (Hansen 2000).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bench.reports.history.line import Line
from bench.reports.history.point import Point, State
from bench.stats.distributions import normal_quantile, t_quantile, t_tail
from bench.stats.intervals import Floats
from bench.toolkit.extras import import_extra

FALSE_ALARMS = 0.01
"""Share of histories of unchanged code that may show a change, of scores and of costs each."""
SHORTEST = 3
"""States on each side of a change: two outliers are none."""
_LIKELY = 7.35
"""95% quantile of the likelihood ratio of a change's place, ``-2 log(1 - sqrt(0.95))``."""


@dataclass(frozen=True)
class Change:
    """A change of a line's level.

    Attributes:
        line: The line.
        at: Number, among the line's counted points, of the likeliest first one after the change.
        first: The earliest that it may be, with 95% confidence.
        last: The latest.
        before: Level before it, in the line's unit.
        after: Level after it.
        difference: Of scores the difference of levels, of costs their ratio.
        low: Lower end of the difference's 95% interval.
        high: Upper end.
        p_value: Adjusted p.
    """

    line: Line
    at: int
    first: int
    last: int
    before: float
    after: float
    difference: float
    low: float
    high: float
    p_value: float

    @property
    def is_worse(self) -> bool:
        """Whether the change is for the worse."""
        return (self.after > self.before) != self.line.points[0].higher_is_better

    @property
    def sides(self) -> tuple[Point, Point]:
        """The last point before the likeliest place, and the first after it, with their records."""
        return self.line.counted[self.at - 1], self.line.counted[self.at]

    @property
    def between(self) -> tuple[State, State]:
        """States that the change lies between, with 95% confidence: after the first, and not after the second."""
        return self.line.counted[self.first - 1].state, self.line.counted[self.last].state


@dataclass(frozen=True)
class Outlier:
    """The latest state where it is not what its line was.

    Attributes:
        line: The line.
        level: Level of the line since its last change, without the latest state; in the line's unit.
        value: Value of the latest state.
        p_value: Adjusted p.
    """

    line: Line
    level: float
    value: float
    p_value: float

    @property
    def is_worse(self) -> bool:
        """Whether the latest state is worse."""
        return (self.value > self.level) != self.line.points[0].higher_is_better


def changes_of(lines: Sequence[Line]) -> list[Change]:
    """The changes in some lines.

    Args:
        lines: All lines of a history.

    Returns:
        The changes, the latest first.

    Raises:
        UsageError: If ``ruptures`` is not installed.
    """
    long = [line for line in lines if len(line.counted) >= 2 * SHORTEST]
    found = [change for line in long for change in _of_line(line, _places(long, line))]
    return sorted(found, key=lambda change: change.line.counted[change.at].state.date, reverse=True)


def _places(lines: Sequence[Line], line: Line) -> int:
    """Number of places in all lines of one kind where a change could be found."""
    return sum(len(each.counted) - 1 for each in lines if each.kind == line.kind)


def _of_line(line: Line, n_places: int) -> list[Change]:
    """The changes of a line; of several that fail their tests the least sure is left out first."""
    ends = _segmented(line, n_places)
    while len(ends) > 2:
        tested = [_tested(line, *three, n_places) for three in zip(ends, ends[1:], ends[2:], strict=False)]
        if all(change is not None for change in tested):
            return [change for change in tested if change is not None]
        p_values = [_p_value(line, *three) for three in zip(ends, ends[1:], ends[2:], strict=False)]
        failing = [place for place, change in enumerate(tested) if change is None]
        ends.pop(1 + max(failing, key=lambda place: p_values[place]))
    return []


def _segmented(line: Line, n_places: int) -> list[int]:
    """Ends of the segments of a line, from 0 to the number of its points."""
    detection = import_extra("ruptures").KernelCPD(kernel="linear", min_size=SHORTEST)
    scaled = (line.signal - np.median(line.signal)) / line.noise
    penalty = normal_quantile(FALSE_ALARMS / 2 / n_places) ** 2
    return [0, *map(int, detection.fit(scaled[:, None]).predict(pen=penalty))]


def _deviation(line: Line, *segments: Floats) -> tuple[float, int]:
    """Standard deviation within segments, and its degrees of freedom."""
    df = sum(len(segment) - 1 for segment in segments)
    squares = sum(float(((segment - segment.mean()) ** 2).sum()) for segment in segments)
    return max((squares / df) ** 0.5, line.least), df


def _p_value(line: Line, start: int, at: int, end: int) -> float:
    """P of the two-sided test of equal levels on both sides, for one place alone."""
    before, after = line.signal[start:at], line.signal[at:end]
    deviation, df = _deviation(line, before, after)
    error = deviation * (1 / len(before) + 1 / len(after)) ** 0.5
    return 2 * t_tail(abs(float(after.mean() - before.mean())) / error, df)


def _tested(line: Line, start: int, at: int, end: int, n_places: int) -> Change | None:
    """The change at a place, or None where it is not significant or too small to count."""
    before, after = line.signal[start:at], line.signal[at:end]
    levels = float(before.mean()), float(after.mean())
    p_value = min(1.0, _p_value(line, start, at, end) * n_places)
    if p_value > FALSE_ALARMS or line.is_small(*levels):
        return None
    deviation, df = _deviation(line, before, after)
    reach = t_quantile(0.975, df) * deviation * (1 / len(before) + 1 / len(after)) ** 0.5
    ends = (levels[1] - levels[0] + sign * reach for sign in (0, -1, 1))
    difference, low, high = (float(np.exp(end)) if line.kind == "cost" else end for end in ends)
    first, last = _range(line, start, at, end, deviation)
    of_line = [float(np.exp(level)) if line.kind == "cost" else level for level in levels]
    return Change(line, at, first, last, of_line[0], of_line[1], difference, low, high, p_value)


def _range(line: Line, start: int, at: int, end: int, deviation: float) -> tuple[int, int]:
    """The first and the last place of the 95% confidence set of a change's place."""
    signal = line.signal[start:end]

    def squares(place: int) -> float:
        parts = signal[: place - start], signal[place - start :]
        return sum(float(((part - part.mean()) ** 2).sum()) for part in parts)

    best = squares(at)
    likely = [place for place in range(start + 1, end) if (squares(place) - best) / deviation**2 <= _LIKELY]
    return min(likely), max(likely)


def outliers_of(lines: Sequence[Line], changes: Sequence[Change], state: State) -> list[Outlier]:
    """Lines that the latest state does not continue.

    Args:
        lines: All lines of a history.
        changes: Their changes.
        state: The latest state.

    Returns:
        The outliers, the surest first. One state alone is no change; the next ones show whether it is.
    """
    tried = []
    for line in lines:
        last = max((change.at for change in changes if change.line is line), default=0)
        if line.counted[-1].state.id == state.id and len(line.counted) - 1 - last >= SHORTEST:
            tried.append((line, line.signal[last:-1]))
    found = []
    for line, earlier in tried:
        deviation, df = _deviation(line, earlier)
        level, value = float(earlier.mean()), float(line.signal[-1])
        # Times have heavy tails: one that is hardly farther off than an earlier one was is no finding.
        farthest = float(np.abs(earlier - level).max()) / 2
        error = max(deviation, line.noise, farthest) * (1 + 1 / len(earlier)) ** 0.5
        n_tests = sum(each.kind == line.kind for each, _ in tried)
        p_value = min(1.0, 2 * t_tail(abs(value - level) / error, df) * n_tests)
        if p_value <= FALSE_ALARMS and not line.is_small(level, value):
            shown = [float(np.exp(each)) if line.kind == "cost" else each for each in (level, value)]
            found.append(Outlier(line, shown[0], shown[1], p_value))
    return sorted(found, key=lambda outlier: outlier.p_value)


def levels_of(line: Line, changes: Sequence[Change]) -> list[tuple[int, int, float]]:
    """The segments of a line between its changes.

    Args:
        line: The line.
        changes: Changes of all lines.

    Returns:
        For each segment the numbers of its first counted point and of the first after it, and its level in the line's
        unit.
    """
    ends = [0, *sorted(change.at for change in changes if change.line is line), len(line.counted)]
    means = ((start, end, float(line.signal[start:end].mean())) for start, end in pairwise(ends))
    return [(start, end, float(np.exp(mean)) if line.kind == "cost" else mean) for start, end, mean in means]
