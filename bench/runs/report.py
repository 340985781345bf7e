"""Progress reporting and the end-of-run summary."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from bench.contracts import StoreError
from bench.contracts.errors import one_line
from bench.results.predictions import QueryPredictions
from bench.results.record import Record
from bench.results.store import Store
from bench.runs.trackers import Tracker
from bench.spec.suite import RunSpec


class Reporter(Protocol):
    """Receives progress of a call, for example to draw a bar."""

    def plan(self, total: int) -> None:
        """Total number of runs, before the first one starts."""

    def encoding(self, what: str, total: int) -> Callable[[int], None]:
        """Start of an encoding pass.

        Args:
            what: Task and split.
            total: Number of items.

        Returns:
            A function to call with each number of encoded items.
        """

    def running(self, spec: RunSpec) -> None:
        """Start of a run."""

    def done(self, record: Record) -> None:
        """End of a run, also of one that was recorded earlier."""

    def problem(self, message: str) -> None:
        """A problem that leaves other runs unharmed."""


@dataclass
class Report:
    """Records of all requested runs, and problems without a record."""

    store: Store
    reporter: Reporter
    trackers: tuple[Tracker, ...] = ()
    records: list[Record] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _reported: set[str] = field(default_factory=set, init=False)

    @property
    def failed(self) -> bool:
        """Whether a run failed or a problem occurred."""
        return bool(self.problems) or any(record.status == "failed" for record in self.records)

    def problem(self, message: str) -> None:
        """Add a problem that leaves other runs unharmed."""
        self.problems.append(message)
        self.reporter.problem(message)

    def begin(self, id_: str, spec: RunSpec) -> None:
        """Announce the start of a run, with the id of its record."""
        self.reporter.running(spec)
        self._notify_trackers(lambda tracker: tracker.begin(id_, spec))

    def known(self, record: Record) -> None:
        """Add a record that was finished earlier."""
        self.records.append(record)
        self.reporter.done(record)

    def keep(self, record: Record, predictions: QueryPredictions | None = None) -> None:
        """Store a new record with its predictions, and pass it to reporter and trackers."""
        try:
            record = self.store.write(record, predictions)
        except StoreError as error:
            self.problem(str(error))
        self.records.append(record)
        self.reporter.done(record)
        self._notify_trackers(lambda tracker: tracker(record))

    def _notify_trackers(self, notify: Callable[[Tracker], None]) -> None:
        for tracker in self.trackers:
            try:
                notify(tracker)
            except Exception as error:  # a tracker's failure is never the run's
                message = f"tracking failed, the record is kept: {type(error).__name__}: {one_line(error)}"
                if message not in self._reported:
                    self._reported.add(message)
                    self.reporter.problem(message)
