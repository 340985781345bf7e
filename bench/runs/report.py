"""Records and problems of a call: kept in the store, and passed on to reporter and trackers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.contracts import StoreError
from bench.contracts.errors import one_line
from bench.results.predictions import QueryPredictions
from bench.results.record import Record
from bench.results.store import Store
from bench.runs.reporter import Reporter
from bench.runs.rescue import Rescue
from bench.runs.shared_costs import SharedCosts
from bench.runs.trackers.interface import Tracker
from bench.spec.run_spec import RunSpec


@dataclass
class Report:
    """Records of all requested runs, and problems without a record.

    Attributes:
        store: Store of the records.
        reporter: Receiver of progress.
        trackers: Receivers of records.
        rescue: Folder for results that the store cannot keep; by default one among the system's temporary files.
        records: Records so far.
        problems: Problems so far, one line each.
    """

    store: Store
    reporter: Reporter
    trackers: tuple[Tracker, ...] = ()
    rescue: Path | None = None
    records: list[Record] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    shared_costs: SharedCosts = field(init=False)
    rescued: Rescue = field(init=False)
    _reported: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self.shared_costs = SharedCosts(self.store)
        self.rescued = Rescue(self.store, self.rescue)

    @property
    def failed(self) -> bool:
        """Whether a run failed or a problem occurred."""
        return bool(self.problems) or any(record.status == "failed" for record in self.records)

    def problem(self, message: str) -> None:
        """Add a problem that leaves other runs unharmed.

        Args:
            message: One line.
        """
        self.problems.append(message)
        self.reporter.problem(message)

    def begin(self, id_: str, spec: RunSpec) -> None:
        """Announce the start of a run.

        Args:
            id_: Id of its record.
            spec: The run.
        """
        self.reporter.running(spec)
        self._notify_trackers(lambda tracker: tracker.begin(id_, spec))

    def known(self, record: Record) -> None:
        """Add a record that was finished earlier.

        Args:
            record: The record.
        """
        self.records.append(record)
        self.reporter.known(record)

    def keep(self, record: Record, predictions: QueryPredictions | None = None) -> None:
        """Store a new record with its predictions, or keep it elsewhere, and pass it to reporter and trackers.

        Args:
            record: The record.
            predictions: Its predictions, if any.
        """
        try:
            record = self.store.write(record, predictions)
        except StoreError as error:
            record, line = self.rescued.keep(record, predictions, error)
            if line:
                self.problem(line)
        self.records.append(record)
        self.reporter.done(record)
        self._notify_trackers(lambda tracker: tracker(record))

    def _notify_trackers(self, notify: Callable[[Tracker], None]) -> None:
        for tracker in self.trackers:
            try:
                notify(tracker)
            except Exception as error:  # a tracker's failure is never the run's
                # The text of the same failure may have a path of each run.
                kind = f"{type(error).__name__} {getattr(error, 'errno', None) or one_line(error)}"
                if kind not in self._reported:
                    self._reported.add(kind)
                    self.reporter.problem(
                        f"tracking failed, the record is kept: {type(error).__name__}: {one_line(error)}"
                    )
