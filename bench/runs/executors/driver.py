"""Driver of an executor: hands out the runs that are not recorded, and is alone in writing records and trackers."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.contracts import StoreError
from bench.contracts.errors import BenchError
from bench.results.provenance import provenance
from bench.results.record import Record
from bench.runs.encode_parts import Parts
from bench.runs.executors.interface import TRIES, Executor, LostWorker, Refused
from bench.runs.executors.unit import Unit, UnitResult
from bench.runs.plan import PlannedRun
from bench.runs.report import Report
from bench.runs.shared_costs import cost_key

POLL = 1.0
"""Seconds between two looks at runs that other programs execute."""


class WorkerLostError(BenchError):
    """The worker of a run ended several times before it answered."""


@dataclass
class _Waiting:
    """A run to execute, with its id and the key of its costs, which take some time to compute, and parts of pools."""

    planned: PlannedRun
    id: str
    key: str
    parts: Parts
    lost: int = 0


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
    _running: dict[str, tuple[_Waiting, ExitStack]] = field(default_factory=dict, init=False)
    _records: dict[str, Record] = field(default_factory=dict, init=False)
    _with_costs: dict[str, dict[str, Record]] = field(default_factory=dict, init=False)

    def run(
        self, runs: Sequence[PlannedRun], recorded: Sequence[Record], parts: Mapping[str, Parts] | None = None
    ) -> None:
        """Execute runs.

        Args:
            runs: Runs without a finished record.
            recorded: Finished records of this call.
            parts: Parts of the pools that runs encode together, by their ids.

        Raises:
            UsageError: If a run cannot be executed as it is described.
        """
        if not self.force and self.report.store.paths():
            for record in self.report.store.scan()[0]:
                self._remember(record, alone=True)
        for record in recorded:
            self._remember(record)
        waiting = {
            id_: _Waiting(planned, id_, cost_key(planned.identity), (parts or {}).get(id_, {}))
            for planned in runs
            for id_ in [planned.id]
        }
        try:
            while waiting or self._running:
                self._hand_out(waiting)
                if waiting and not self._running:
                    time.sleep(POLL)  # all that is left is executed by another program
                    continue
                outcomes = self.executor.finished(POLL) if self._running else []
                for unit, outcome in outcomes:
                    if not isinstance(outcome, Refused):
                        self._take(unit.id, outcome, waiting)
                # What ends the call comes after everything that was computed.
                for refused in (outcome for _, outcome in outcomes if isinstance(outcome, Refused)):
                    raise refused.error
        except BaseException:
            for run, claim in self._running.values():
                with claim:
                    reason = "interrupted while it was executed elsewhere; run again to complete it"
                    facts = provenance(self.device)
                    self._finish(run.planned, run.planned.record(status="failed", reason=reason, provenance=facts))
            raise
        finally:
            self.executor.close()

    def _hand_out(self, waiting: dict[str, _Waiting]) -> None:
        """Submit the runs that can begin, and remove them from those that wait."""
        measuring = {run.key for run, _ in self._running.values()}
        room = self.executor.room()
        for run in list(waiting.values()):
            if room <= 0:
                return
            # Costs are measured once for all seeds, and a matched run has to be recorded before its followers begin.
            if run.planned.reference_id in waiting or run.planned.reference_id in self._running:
                continue
            if run.key in measuring and run.key not in self._with_costs:
                continue
            if self._submitted(run):
                del waiting[run.id]
            if run.id in self._running:
                measuring.add(run.key)
                room -= 1

    def _take(self, id_: str, outcome: object, waiting: dict[str, _Waiting]) -> None:
        """Record the outcome of a run, or put the run back among those that wait."""
        run, claim = self._running.pop(id_)
        with claim:
            if isinstance(outcome, UnitResult):
                self._keep(run.planned, outcome)
            elif isinstance(outcome, LostWorker) and self._again(run, outcome):
                waiting[run.id] = run

    def _submitted(self, run: _Waiting) -> bool:
        """Whether a run is under way or finished now; False while another program executes it."""
        with ExitStack() as stack:
            try:
                claimed = stack.enter_context(self.report.store.claim(run.id, run.planned.title, wait=False))
                finished = self._finished(run) if claimed else None
            except StoreError:  # the record will say so
                claimed, finished = True, None
            if not claimed:
                return False
            if finished is not None:
                self._remember(finished)
                self.report.known(finished)
                return True
            self.executor.submit(self._unit(run))
            self._running[run.id] = run, stack.pop_all()
        return True

    def _finished(self, run: _Waiting) -> Record | None:
        """The record of a run, where another program has finished it meanwhile."""
        if self.force or self.remeasure:
            return None
        return self.report.store.finished(run.id)

    def _unit(self, run: _Waiting) -> Unit:
        recorded = dict(self._with_costs.get(run.key, {}))
        reference = run.planned.reference_id
        if reference is not None and reference in self._records:
            recorded[reference] = self._records[reference]
        if self.remeasure and run.id in self._records:
            recorded[run.id] = self._records[run.id]
        return Unit(run.planned.spec, run.id, tuple(recorded.values()), run.parts)

    def _again(self, run: _Waiting, lost: LostWorker) -> bool:
        """Whether a run whose worker was lost is handed out once more; otherwise it is recorded as failed."""
        run.lost += 1
        if run.lost < TRIES:
            spec = run.planned.spec
            self.report.reporter.problem(f"{spec.task} {spec.method} is executed again: {lost.reason}")
            return True
        self._finish(run.planned, run.planned.failed(WorkerLostError(lost.after_all_tries()), self.device))
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
