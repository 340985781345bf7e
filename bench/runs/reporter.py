"""Receiver of the progress of runs."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from bench.results.record import Record
from bench.runs.time_left import TimeLeft
from bench.spec.run_spec import RunSpec


class Reporter:
    """Receiver of progress, for example to draw a bar; this one shows nothing."""

    def preparing(self, what: str) -> None:
        """Note what is prepared before runs can begin.

        Args:
            what: Task or backbone, and what is done with it.
        """

    def plan(self, total: int, left: TimeLeft | None = None) -> None:
        """Set the total number of runs, before the first one starts.

        Args:
            total: The number.
            left: Estimate of the time that they take.
        """

    def encoding(self, what: str, total: int) -> Callable[[int], None]:
        """Start an encoding pass.

        Args:
            what: Task and split.
            total: Number of items.

        Returns:
            A function to call with each number of encoded items.
        """
        return lambda number: None

    def running(self, spec: RunSpec) -> None:
        """Start a run.

        Args:
            spec: The run.
        """

    def within(self, what: str, share: Callable[[], float | None] | None = None) -> AbstractContextManager[object]:
        """Show that a part of a run goes on, as long as the context lasts.

        Args:
            what: The part.
            share: Share of it that is done, from 0 to 1; None where that is unknown.

        Returns:
            The context.
        """
        return nullcontext()

    def done(self, record: Record) -> None:
        """End a run.

        Args:
            record: Its record.
        """

    def known(self, record: Record) -> None:
        """Pass over a run that was recorded earlier.

        Args:
            record: Its record.
        """

    def problem(self, message: str) -> None:
        """Show a problem that leaves other runs unharmed.

        Args:
            message: One line.
        """
