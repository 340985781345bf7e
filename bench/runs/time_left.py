"""Time that the rest of some runs takes, estimated from recorded durations and from the runs that ended."""

import time
from collections.abc import Callable, Iterable
from statistics import fmean

from bench.spec.run_spec import RunSpec

LEAST = 5.0
"""Seconds below which no estimate is shown."""


class TimeLeft:
    """Estimate of the time that is left: the time so far, in the proportion of what is expected of the other runs."""

    def __init__(
        self,
        specs: Iterable[RunSpec],
        expected: Callable[[RunSpec], float | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the runs; nothing is looked up before the first of them begins.

        Args:
            specs: All runs.
            expected: Seconds that a run is expected to take; None where nothing is known of it.
            clock: A clock in seconds.
        """
        self._specs, self._expected, self._clock = list(specs), expected, clock
        self._passed: list[RunSpec] = []
        self._left: dict[str, float] = {}
        self._known = False
        self._began: float | None = None
        self._done = 0.0

    def begin(self) -> None:
        """Note that a run begins; the first one starts the clock."""
        if self._began is not None:
            return
        self._began = self._clock()
        passed = set(map(_key, self._passed))
        seconds = {key: self._expected(spec) for spec in self._specs if (key := _key(spec)) not in passed}
        known = [value for value in seconds.values() if value is not None]
        self._known, typical = bool(known), fmean(known) if known else 1.0
        self._left = {key: typical if value is None else value for key, value in seconds.items()}

    def ended(self, spec: RunSpec) -> None:
        """Note that a run ended.

        Args:
            spec: The run.
        """
        self._done += self._left.pop(_key(spec), 0.0)

    def passed_over(self, spec: RunSpec) -> None:
        """Note that a run was recorded earlier.

        Args:
            spec: The run.
        """
        if self._began is None:
            self._passed.append(spec)
        else:
            self._left.pop(_key(spec), None)

    def seconds(self) -> float | None:
        """Seconds that the remaining runs take; None where nothing is known of them."""
        if self._began is None:
            return None
        left = sum(self._left.values())
        if self._done:
            return (self._clock() - self._began) * left / self._done
        return left if self._known else None

    def text(self) -> str:
        """The time that is left in words, such as "about 3 min left"; empty where it is short or unknown."""
        return left_text(self.seconds())


def left_text(seconds: float | None) -> str:
    """Time that is left in words.

    Args:
        seconds: Its length; None where it is unknown.

    Returns:
        A text such as "about 3 min left"; empty where the time is short or unknown.
    """
    return "" if seconds is None or seconds < LEAST else f"about {duration(seconds)} left"


def duration(seconds: float) -> str:
    """A duration in words.

    Args:
        seconds: Its length.

    Returns:
        Whole seconds below 100 of them, then minutes, then hours and minutes.
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _key(spec: RunSpec) -> str:
    return spec.model_dump_json()
