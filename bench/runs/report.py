"""Who is told how far the work has come, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from bench.contracts import BenchError, StoreError
from bench.contracts.errors import one_line_defect
from bench.costs.worker import ChildError
from bench.results.predictions import QueryPredictions
from bench.results.record import Record
from bench.results.store import Store
from bench.runs.trackers import Tracker
from bench.spec.suite import RunSpec


class Reporter(Protocol):
    """Who is told how far the work has come."""

    def plan(self, total: int) -> None:
        """So many runs were asked for."""

    def encoding(self, what: str, total: int) -> Callable[[int], None]:
        """Items are about to be encoded; the answer is called with each number done."""

    def running(self, spec: RunSpec) -> None:
        """A run begins."""

    def done(self, record: Record) -> None:
        """A run has ended, well or badly, now or in an earlier call."""

    def problem(self, message: str) -> None:
        """Something went wrong that leaves other runs unharmed."""


@dataclass
class Report:
    """What came of a call: the records of all runs asked for, and problems that made no record."""

    store: Store
    reporter: Reporter
    trackers: tuple[Tracker, ...] = ()
    records: list[Record] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _told: set[str] = field(default_factory=set, init=False)

    @property
    def failed(self) -> bool:
        """Whether anything went wrong."""
        return bool(self.problems) or any(record.status == "failed" for record in self.records)

    def problem(self, message: str) -> None:
        """Something went wrong that leaves other runs unharmed."""
        self.problems.append(message)
        self.reporter.problem(message)

    def begin(self, id_: str, spec: RunSpec) -> None:
        """A run begins, whose record will have this id."""
        self.reporter.running(spec)
        self._tell_trackers(lambda tracker: tracker.begin(id_, spec))

    def known(self, record: Record) -> None:
        """A run was asked for that is recorded already."""
        self.records.append(record)
        self.reporter.done(record)

    def keep(self, record: Record, outcomes: QueryPredictions | None = None) -> None:
        """A run has ended: store its record with what became of its queries, and tell whoever follows it."""
        try:
            record = self.store.write(record, outcomes)
        except StoreError as error:
            self.problem(str(error))
        self.records.append(record)
        self.reporter.done(record)
        self._tell_trackers(lambda tracker: tracker(record))

    def _tell_trackers(self, tell: Callable[[Tracker], None]) -> None:
        for tracker in self.trackers:
            try:
                tell(tracker)
            except Exception as error:  # a tracker's failure is never the run's
                message = f"tracking failed, the record is kept: {type(error).__name__}: {error}"
                if message not in self._told:
                    self._told.add(message)
                    self.reporter.problem(message)


def told(error: BaseException) -> str:
    """An error in one line, with its type and place where it is no error of the user's."""
    return str(error) if isinstance(error, BenchError | ChildError) else one_line_defect(error)
