"""A group of runs on one task, backbone and precision: encoded together, then measured and scored one by one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bench import registry
from bench.contracts import Backbone, StoreError, TaskData, UsageError
from bench.contracts.errors import one_line_error
from bench.data.class_embeddings import ClassEmbeddings, class_embeddings
from bench.data.episodes import Episodes
from bench.engine.frozen import BackboneChangedError
from bench.engine.trainer import DeviceOptions
from bench.engine.worker import Worker
from bench.results.predictions import QueryPredictions
from bench.results.provenance import method_facts, provenance
from bench.results.record import Record
from bench.runs.attempt import Attempt
from bench.runs.bookkeeping import Bookkeeping
from bench.runs.encode import EncodeCosts, EncodedGroup, encode_group
from bench.runs.encode_parts import Parts
from bench.runs.limits import require_some_possible, resolved_budget
from bench.runs.plan import PlanEntry, PlannedRun, planned
from bench.runs.precision_notes import precision_notes
from bench.runs.report import Report
from bench.runs.single_run import Result, SingleRun
from bench.runs.waves import waves
from bench.spec.costs import StageCosts
from bench.spec.expand import refusal
from bench.spec.run_spec import RunSpec

TOGETHER = 2000
"""Runs that are planned before their records are looked up; those that are recorded need not be kept any longer."""


@dataclass
class RunGroup:
    """Runs that share a task, a backbone and a precision.

    Attributes:
        data: The task's data.
        backbone: The frozen backbone.
        start_worker: Starts the worker process, as soon as there is a run to measure.
        devices: Device and precision.
        force: Run again what is recorded.
        report: Receives records and problems.
        remeasure: Measure again, alone, the costs that were measured in company.
        check_budgets: Refuse to begin where no limited run can keep its budget; a single run of many is over it.
        parts: Parts of the pools that other processes encode too; see encode_parts.
    """

    data: TaskData
    backbone: Backbone
    start_worker: Callable[[], Worker]
    devices: DeviceOptions
    force: bool
    report: Report
    remeasure: bool = False
    check_budgets: bool = True
    parts: Parts = field(default_factory=dict)
    _records: dict[str, Record] = field(default_factory=dict, init=False)
    _precision_notes: dict[str, str] = field(default_factory=dict, init=False)

    def run(self, specs: Sequence[tuple[RunSpec, Episodes]]) -> None:
        """Execute the runs without a finished record.

        Args:
            specs: Runs with their episodes.

        Raises:
            UsageError: If no limited run can keep its budget.
        """
        pending = self.pending(specs)
        if not pending:
            return
        worker = self.start_worker()
        measured: dict[tuple[Any, ...], StageCosts] = {}
        try:
            reporter = self.report.reporter
            self._precision_notes = precision_notes(self.data, self.devices, worker, pending[0].spec, reporter)
            for wave in waves(pending):
                self._run_together(wave, worker, measured)
        finally:
            worker.close()

    def pending(self, specs: Sequence[tuple[RunSpec, Episodes]]) -> list[PlannedRun]:
        """The runs that have to be executed; finished ones are reported, those of no use are recorded as skipped.

        Args:
            specs: Runs with their episodes.

        Returns:
            Planned runs.
        """
        return self._served(self._not_recorded(specs))

    def _run_together(
        self, pending: list[PlannedRun], worker: Worker, measured: dict[tuple[Any, ...], StageCosts]
    ) -> None:
        """Encode the items of some runs, and execute these."""
        try:
            encoded = encode_group(self.data, self.backbone, pending, self.devices, self.report, worker, self.parts)
            costs = EncodeCosts(encoded.source, worker, self.devices, self.report.reporter.problem, measured)
            pending = self._with_embeddings(pending, encoded.embeddings)
            if self.check_budgets:
                require_some_possible(pending, costs)
        except UsageError:
            raise
        except Exception as error:  # other groups of runs are not affected
            for run in pending:
                if (earlier := self._earlier(run.id)) is not None:
                    self._known(self._kept(earlier, error))
                else:
                    self._keep(run.failed(error, self.devices.device_name()))
            return
        # A worker in this process leaves no room for anything beside it.
        with Bookkeeping(worker.process == "fresh") as later:
            self._claim_each(pending, lambda run: self._answered(run, encoded, costs, later), later)

    def plan(self, specs: Sequence[tuple[RunSpec, Episodes]]) -> list[PlanEntry]:
        """The runs of ``run`` with their status, without encoding, running or writing anything.

        Args:
            specs: Runs with their episodes.

        Returns:
            The runs with their status.
        """
        entries, embeddings = [], None
        for run, recorded in self._looked_up(specs):
            if recorded is not None:
                entries.append(PlanEntry(run.spec, run.id, "recorded"))
                continue
            embeddings = embeddings or class_embeddings(self.data, run.run.task, self.backbone)
            if (reason := refusal(run.spec) or embeddings.refusal(run.run)) is not None:
                entries.append(PlanEntry(run.spec, run.id, "skipped", reason))
            else:
                expected = self.report.shared_costs.expected(run)
                entries.append(PlanEntry(run.spec, run.id, "to run", expected_seconds=expected))
        return entries

    def _looked_up(self, specs: Sequence[tuple[RunSpec, Episodes]]) -> Iterator[tuple[PlannedRun, Record | None]]:
        """Planned runs with their finished records, None where there is none; a damaged record leaves out its run."""
        for start in range(0, len(specs), TOGETHER):
            runs = [
                planned(spec, episodes, self.data, self.backbone, self.devices)
                for spec, episodes in specs[start : start + TOGETHER]
            ]
            ids = [run.id for run in runs]
            known = {} if self.force else self.report.store.lookup(ids)
            for run, id_ in zip(runs, ids, strict=True):
                record = known.get(id_)
                if isinstance(record, StoreError):  # a damaged file costs its own run only
                    self.report.problem(str(record))
                else:
                    yield run, self._settled(record)

    def _settled(self, record: Record | None) -> Record | None:
        """A record of a run that is not run or measured again."""
        if record is None or record.status == "failed":
            return None
        return None if self.remeasure and record.costs is not None and record.costs.company else record

    def _earlier(self, id_: str) -> Record | None:
        """The finished record of a run, if it counts."""
        return None if self.force else self.report.store.finished(id_)

    def _kept(self, earlier: Record, error: Exception) -> Record:
        """The record of a run that failed when it was measured again."""
        self.report.problem(f"{earlier.id} keeps its earlier costs: {one_line_error(error)}")
        return earlier

    def _not_recorded(self, specs: Sequence[tuple[RunSpec, Episodes]]) -> list[PlannedRun]:
        """The runs without a finished record; finished ones are reported."""
        pending = []
        for run, recorded in self._looked_up(specs):
            if recorded is None:
                pending.append(run)
            else:
                self._known(recorded)
        return pending

    def _served(self, runs: list[PlannedRun]) -> list[PlannedRun]:
        """The runs whose method serves the task; the others are recorded as skipped."""
        served = []
        for run in runs:
            if (reason := refusal(run.spec)) is None:
                served.append(run)
            else:
                self._skip(run, reason)
        return served

    def _with_embeddings(self, runs: list[PlannedRun], embeddings: ClassEmbeddings) -> list[PlannedRun]:
        """The runs whose method has the class embeddings that it needs; the others are recorded as skipped."""
        kept = []
        for run in runs:
            if (reason := embeddings.refusal(run.run)) is None:
                kept.append(run)
            else:
                self._skip(run, reason)
        return kept

    def _skip(self, run: PlannedRun, reason: str) -> None:
        self.report.begin(run.id, run.spec)
        self._keep(run.record(status="skipped", reason=reason, provenance=provenance(self.devices.device_name())))

    def _claim_each(
        self, runs: list[PlannedRun], execute: Callable[[PlannedRun], Callable[[], Result]], later: Bookkeeping
    ) -> None:
        """Execute runs that no other process executes or has finished; wait for those last."""
        last = ""
        for wait in (False, True):
            elsewhere: list[PlannedRun] = []
            for run in runs:
                if run.reference_id in {other.id for other in elsewhere}:
                    elsewhere.append(run)  # its budget depends on a run that is not finished
                    continue
                if wait or run.reference_id is not None or run.id == last:
                    later.settle()
                with ExitStack() as claim:
                    claimed = claim.enter_context(self._claimed(run, wait))
                    try:
                        finished = self._settled(self._earlier(run.id)) if claimed else None
                    except StoreError as error:  # damaged since it was looked up
                        later.add(partial(self.report.problem, str(error)))
                        continue
                    if not claimed:
                        elsewhere.append(run)
                    elif finished is not None:
                        later.add(partial(self._known, finished))
                    else:
                        later.add(partial(self.report.begin, run.id, run.spec))
                        made = execute(run)
                        try:
                            later.settle()
                        finally:  # an interrupt here leaves what was answered its record
                            later.add(partial(self._keep_made, made), claim.pop_all())
                        last = run.id
            runs = elsewhere

    @contextmanager
    def _claimed(self, run: PlannedRun, wait: bool) -> Iterator[bool]:
        """Claim a run. In a store that can no longer be written no process can, and the run goes on without."""
        with ExitStack() as stack:
            try:
                claim = self.report.store.claim(run.id, run.title, self.report.reporter.problem, wait)
                claimed = stack.enter_context(claim)
            except StoreError:  # the record will say so
                claimed = True
            yield claimed

    def _answered(
        self, planned_run: PlannedRun, encoded: EncodedGroup, costs: EncodeCosts, later: Bookkeeping
    ) -> Callable[[], Result]:
        """Measure and answer one run; the function that makes its record and predictions."""
        device = self.devices.device_name()
        facts = provenance(device) | method_facts(planned_run.run)
        if self.backbone.revision:
            facts["backbone_revision"] = self.backbone.revision

        def make() -> SingleRun:
            return SingleRun(
                planned=planned_run,
                source=encoded.source_of(planned_run.run),
                devices=self.devices,
                worker=costs.worker,
                budget=resolved_budget(planned_run, self._records),
                encode=partial(costs.of_episode, planned_run),
                shared=self.report.shared_costs,
                stored=not self.force,
                notify=self.report.reporter.problem,
                quiet=later.wait,
                encode_wall_seconds=encoded.wall_seconds,
                notes=encoded.embeddings.notes_of(planned_run.run) | self._precision_notes,
                provenance=facts,
                partial=self.report.store.partial_path(planned_run.id),
                resume=not self.force,
                reporter=self.report.reporter,
            )

        def repair(error: Exception) -> None:
            if isinstance(error, BackboneChangedError) and costs.worker.process == "same":
                self.backbone.load_state_dict(registry.load_backbone(planned_run.spec.backbone).state_dict())

        def keep(record: Record) -> None:
            later.add(partial(self._keep, record))

        earlier = partial(self._earlier, planned_run.id)
        return Attempt(planned_run, device, facts, earlier, keep, self._kept, repair).answered(make)

    def _known(self, record: Record) -> None:
        self._records[record.id] = record
        self.report.known(record)

    def _keep_made(self, make: Callable[[], Result]) -> None:
        self._keep(*make())

    def _keep(self, record: Record, predictions: QueryPredictions | None = None) -> None:
        self._records[record.id] = record
        self.report.keep(record, predictions)
        self.report.store.remove_partial(record)
