"""Driver of an executor: hands out the runs that are not recorded, and is alone in writing records and trackers."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.contracts import StoreError
from bench.contracts.errors import BenchError
from bench.results.grouping import task_text
from bench.results.provenance import provenance
from bench.results.record import Record
from bench.runs.executors.interface import Executor, LostWorker
from bench.runs.executors.unit import Unit, UnitResult
from bench.runs.plan import PlannedRun
from bench.runs.report import Report
from bench.runs.shared_costs import cost_key

TRIES = 3
"""Times that a run is handed out whose worker ended without an answer."""
POLL = 1.0
"""Seconds between two looks at runs that other programs execute."""


class WorkerLostError(BenchError):
    """The worker of a run ended several times before it answered."""


@dataclass
class Driver:
    """Executes planned runs by an executor.

    Attributes:
        executor: The executor, started.
        device: Model of its device.
        report: Receives records and problems.
        force: Whether records of the store count for nothing.
        remeasure: Whether costs that were measured in company are measured again.
    """

    executor: Executor
    device: str
    report: Report
    force: bool = False
    remeasure: bool = False
    _running: dict[str, tuple[PlannedRun, ExitStack]] = field(default_factory=dict, init=False)
    _lost: dict[str, int] = field(default_factory=dict, init=False)
    _records: dict[str, Record] = field(default_factory=dict, init=False)
    _with_costs: dict[str, dict[str, Record]] = field(default_factory=dict, init=False)

    def run(self, runs: Sequence[PlannedRun], recorded: Sequence[Record]) -> None:
        """Execute runs.

        Args:
            runs: Runs without a finished record.
            recorded: Finished records of this call.

        Raises:
            UsageError: If a run cannot be executed as it is described.
        """
        if not self.force and self.report.store.paths():
            for record in self.report.store.scan()[0]:
                self._remember(record, alone=True)
        for record in recorded:
            self._remember(record)
        waiting = list(runs)
        try:
            while waiting or self._running:
                waiting = self._hand_out(waiting)
                outcomes = self.executor.finished(POLL) if self._running else []
                for unit, outcome in outcomes:
                    planned, claim = self._running.pop(unit.id)
                    with claim:
                        if isinstance(outcome, UnitResult):
                            self._keep(planned, outcome)
                        elif self._again(planned, outcome):
                            waiting.insert(0, planned)
        except BaseException:
            for planned, claim in self._running.values():
                with claim:
                    reason = "interrupted while it was executed elsewhere; run again to complete it"
                    self._finish(
                        planned, planned.record(status="failed", reason=reason, provenance=provenance(self.device))
                    )
            raise
        finally:
            self.executor.close()

    def _hand_out(self, waiting: list[PlannedRun]) -> list[PlannedRun]:
        """Submit the runs that can begin, and return the others."""
        later = []
        ids = {planned.id for planned in waiting} | self._running.keys()
        measuring = {cost_key(planned.identity) for planned, _ in self._running.values()}
        for planned in waiting:
            key = cost_key(planned.identity)
            # Costs are measured once for all seeds, and a matched run has to be recorded before its followers begin.
            follows = planned.reference_id in ids or (key in measuring and key not in self._with_costs)
            if follows or not self.executor.has_room() or not self._submitted(planned):
                later.append(planned)
            elif planned.id in self._running:
                measuring.add(key)
        return later

    def _submitted(self, planned: PlannedRun) -> bool:
        """Whether a run is under way or finished now; False while another program executes it."""
        with ExitStack() as stack:
            spec = planned.spec
            what = f"{task_text(spec)} {spec.method} {spec.shots} shots, seed {spec.seed}"
            try:
                claimed = stack.enter_context(self.report.store.claim(planned.id, what, wait=False))
                finished = self._finished(planned) if claimed else None
            except StoreError:  # the record will say so
                claimed, finished = True, None
            if not claimed:
                return False
            if finished is not None:
                self._records[planned.id] = finished
                self.report.known(finished)
                return True
            self.executor.submit(unit := self._unit(planned))
            self._running[unit.id] = planned, stack.pop_all()
        return True

    def _finished(self, planned: PlannedRun) -> Record | None:
        """The record of a run, where another program has finished it meanwhile."""
        if self.force or self.remeasure:
            return None
        return self.report.store.finished(planned.id)

    def _unit(self, planned: PlannedRun) -> Unit:
        recorded = dict(self._with_costs.get(cost_key(planned.identity), {}))
        if planned.reference_id in self._records:
            recorded[planned.reference_id] = self._records[planned.reference_id]
        if self.remeasure and planned.id in self._records:
            recorded[planned.id] = self._records[planned.id]
        elif not self.remeasure:
            recorded.pop(planned.id, None)
        return Unit(planned.spec, planned.id, tuple(recorded.values()))

    def _again(self, planned: PlannedRun, lost: LostWorker) -> bool:
        """Whether a run whose worker was lost is handed out once more; otherwise it is recorded as failed."""
        times = self._lost[planned.id] = self._lost.get(planned.id, 0) + 1
        if times < TRIES:
            self.report.reporter.problem(f"{planned.spec.task} {planned.spec.method} is executed again: {lost.reason}")
            return True
        error = WorkerLostError(f"its worker ended {TRIES} times before it answered: {lost.reason}")
        self._finish(planned, planned.failed(error, self.device))
        return False

    def _keep(self, planned: PlannedRun, result: UnitResult) -> None:
        for line in result.problems:
            self.report.reporter.problem(line)
        if result.record is None:
            why = result.problems[-1] if result.problems else "the worker sent no record"
            self._finish(planned, planned.failed(WorkerLostError(why), self.device))
            return
        if result.record.id != planned.id:
            self.report.problem(
                f"{planned.spec.task} {planned.spec.method} was executed with other libraries, data or weights than "
                f"this program has, and is recorded as {result.record.id} instead of {planned.id}"
            )
        self._finish(planned, result.record, result)

    def _finish(self, planned: PlannedRun, record: Record, result: UnitResult | None = None) -> None:
        self._remember(record)
        self.report.begin(record.id, planned.spec)
        self.report.keep(record, None if result is None else result.predictions)
        self.report.store.remove_partial(record)

    def _remember(self, record: Record, alone: bool = False) -> None:
        """Keep a record for the runs whose budget or costs may be taken from it.

        Args:
            record: The record.
            alone: Whether costs that were measured in company do not count, as those of earlier calls.
        """
        self._records[record.id] = record
        costs = record.costs
        if record.status == "ok" and costs is not None and costs.conditions is not None:
            if alone and costs.company:
                return
            same = self._with_costs.setdefault(cost_key(record.identity), {})
            # One for each place and budget is enough: the others have their costs from it.
            same.setdefault(f"{costs.conditions.host} {costs.device} {record.limits}", record)
