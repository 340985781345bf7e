"""Runs that share a task, a backbone and a precision: their items are encoded once, together."""

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench import registry
from bench.contracts import (
    Backbone,
    BenchError,
    InputMode,
    Pool,
    StoreError,
    TaskData,
    UsageError,
)
from bench.costs.encoding import encode_costs, one_pass, sample, scaled
from bench.costs.worker import ChildError, OutOfMemoryError, Worker
from bench.data.batches import EpisodeSource
from bench.data.class_embeddings import class_embeddings
from bench.data.episodes import PADDING, Episodes, Positions
from bench.data.features import FeatureCache, FeatureTable, pool_cache
from bench.engine.encoding import encode_missing
from bench.engine.trainer import DeviceOptions
from bench.registry import get
from bench.results.predictions import QueryPredictions
from bench.results.provenance import HARNESS, code_fingerprint, library_versions, provenance
from bench.results.record import Record, run_id
from bench.runs.plan import Job
from bench.runs.report import Report, told
from bench.runs.single_run import Measurement
from bench.spec.budget import Budget, require_possible
from bench.spec.costs import Costs, StageCosts
from bench.spec.expand import refusal
from bench.spec.suite import RunSpec
from bench.toolkit.files import file_hash

OUT_OF_MEMORY = (OutOfMemoryError, MemoryError, torch.OutOfMemoryError)


@dataclass
class Group:
    """Has a task's runs on one backbone encoded, measured and kept.

    isolate: makes the place where costs are measured, once there is a run to measure.
    """

    data: TaskData
    backbone: Backbone
    isolate: Callable[[], Worker]
    devices: DeviceOptions
    force: bool
    report: Report
    _references: dict[str, Record] = field(default_factory=dict, init=False)
    _encode: dict[tuple[Any, ...], StageCosts] = field(default_factory=dict, init=False)
    _pass: StageCosts | None = field(default=None, init=False)

    def run(self, specs: Sequence[tuple[RunSpec, Episodes]]) -> None:
        """Run what is not recorded. Raises UsageError if no method can keep to a budget."""
        jobs = []
        for spec, episodes in specs:
            identity = self._identity(spec)
            try:
                recorded = None if self.force else self.report.store.finished(run_id(identity))
            except StoreError as error:  # a damaged file costs its own run only
                self.report.problem(str(error))
                continue
            if recorded is not None:
                self._references[recorded.id] = recorded
                self.report.known(recorded)
            else:
                jobs.append(Job(spec, identity, episodes, registry.method_class(spec.method)))
        if not jobs:
            return
        isolation = self.isolate()
        try:
            try:
                values, lacking = class_embeddings(self.data, jobs[0].spec.task, self.backbone)
                refusals = {job.id: _refusal(job, lacking) for job in jobs}
                served = [job for job in jobs if refusals[job.id] is None]
                source, wall = self._encoded(served, values, jobs[0].spec)
                self._require_possible(served, source, isolation)
            except UsageError:
                raise
            except Exception as error:  # whatever it is, other groups of runs are not to be lost with this one
                for job in jobs:
                    self._keep(self._failure(job, error))
                return
            self._in_turn(jobs, lambda job: self._record(job, refusals[job.id], source, wall, isolation))
        finally:
            isolation.close()

    def _in_turn(self, jobs: list[Job], make: Callable[[Job], tuple[Record, QueryPredictions | None]]) -> None:
        """Have jobs made that no other process is making or has made; those under way elsewhere are waited for last."""
        store = self.report.store
        for wait in (False, True):
            elsewhere: list[Job] = []
            for job in jobs:
                if self._reference(job) in {other.id for other in elsewhere}:
                    elsewhere.append(job)  # its budget is not known before
                    continue
                with store.claim(job.id, wait) as mine:
                    if not mine:
                        elsewhere.append(job)
                    elif (made := None if self.force else store.finished(job.id)) is not None:
                        self._references[made.id] = made
                        self.report.known(made)
                    else:
                        self.report.begin(job.id, job.spec)
                        self._keep(*make(job))
            jobs = elsewhere

    def _reference(self, job: Job) -> str | None:
        """The id of the run whose costs are a job's budget."""
        reference = job.spec.reference()
        return None if reference is None else run_id(self._identity(reference))

    def _keep(self, record: Record, outcomes: QueryPredictions | None = None) -> None:
        self._references[record.id] = record
        self.report.keep(record, outcomes)

    def _identity(self, spec: RunSpec) -> dict[str, Any]:
        """Everything that changes a run's value."""
        modules = (
            get("methods", spec.method).module,
            get("tasks", spec.task).module,
            get("backbones", spec.backbone.partition(":")[0]).module,
            *HARNESS,
        )
        config = registry.method_config(spec.method, spec.config)
        # A file that a config names can change while its name stays.
        files = {name: value for name, value in config if isinstance(value, Path) and value.is_file()}
        hashes = {f"{name} file": file_hash(path) for name, path in files.items()}
        budget: dict[str, Any] = {"budget": spec.budget.limits()} if spec.budget.limits() else {}
        if spec.tuning is not None:
            budget["tuning"] = spec.tuning.identity()
        reference, match = spec.reference(), spec.match
        if reference is not None and match is not None:
            other = self._identity(reference)
            budget["match"] = {
                "method": match.method, "axes": match.axes, "config": other["config"], "code": other["code"]
            }  # fmt: skip
        return {
            **spec.model_dump(exclude={"config", "budget", "match", "tuning"}),
            **budget,
            "config": config.model_dump(mode="json") | hashes,
            "data": self.data.revision,
            "weights": self.backbone.fingerprint,
            "code": code_fingerprint(modules),
            "libraries": library_versions(),
            "device": self.devices.device_name(),
        }

    def _encoded(self, jobs: list[Job], values: Tensor, spec: RunSpec) -> tuple[EpisodeSource, float]:
        """Encode the union of the items of all jobs that read features; returns also the seconds it took."""
        tables, wall = {}, 0.0
        reading = [job for job in jobs if job.reads is InputMode.FEATURES]
        for split, pool in (("support", self.data.support), ("query", self.data.query)):
            cache = pool_cache(self.backbone, self.data.revision, spec, split)
            tables[split] = cache.load(split, len(pool.labels))
            wanted = [getattr(job.episodes, split).ravel() for job in reading]
            positions = np.unique(np.concatenate(wanted)) if wanted else np.empty(0, dtype=np.int64)
            wall += self._encode_pool(spec, pool, tables[split], positions, cache)
        task = registry.task_class(spec.task)()
        return EpisodeSource(task, self.data, self.backbone, values, tables["support"], tables["query"]), wall

    def _encode_pool(
        self, spec: RunSpec, pool: Pool, table: FeatureTable, positions: Positions, cache: FeatureCache
    ) -> float:
        missing = table.missing(positions)
        if len(missing) == 0:
            return 0.0
        advance = self.report.reporter.encoding(f"{spec.task} {table.split}", len(missing))
        devices = self.devices.with_precision(spec.precision)
        return encode_missing(
            self.backbone, pool, table, missing, cache, devices, advance, self.report.problem
        )  # fmt: skip

    def _encode_costs(self, job: Job, source: EpisodeSource, isolation: Worker) -> StageCosts:
        """What encoding the job's first episode costs; the same for all runs with episodes of its size."""
        if job.reads is not InputMode.FEATURES:
            return StageCosts()
        spec = job.spec
        key = (spec.shots, spec.queries, spec.ways)
        if key not in self._encode:
            first = job.episodes[:1]
            source.support.require(first.support)
            source.query.require(first.query)
            some = sample([(self.data.support, first.support), (self.data.query, first.query)])
            cost: StageCosts = isolation.call(encode_costs, some, self.devices.with_precision(spec.precision))
            n_items = sum(int((part != PADDING).sum()) for part in (first.support, first.query))
            self._encode[key] = scaled(cost, n_items / len(some.labels))
        return self._encode[key]

    def _one_pass(self, job: Job, source: EpisodeSource, isolation: Worker) -> StageCosts:
        """What one query costs to pass through the backbone; the first that is asked about stands for all."""
        if self._pass is None:
            raw = self.data.query.inputs[int(job.episodes.query[0, 0])]["input"]
            devices = self.devices.with_precision(job.spec.precision)
            self._pass = isolation.call(one_pass, raw, source.task.window, devices)
        return self._pass

    def _require_possible(self, jobs: list[Job], source: EpisodeSource, isolation: Worker) -> None:
        """Raise UsageError if a budget is below the backbone's own cost for all that are held to it."""
        limited = [job for job in jobs if job.spec.budget.limits()]
        refusals: list[UsageError] = []
        for job in limited:
            reads_features = job.reads is InputMode.FEATURES
            own = (self._encode_costs if reads_features else self._one_pass)(job, source, isolation)
            try:
                require_possible(job.spec.budget, own, reads_features, job.spec.backbone)
            except UsageError as error:
                refusals.append(error)
        if limited and len(refusals) == len(limited):
            raise refusals[0]

    def _budget(self, job: Job) -> Budget:
        """The job's limits, those that come from another run included."""
        reference, match = self._reference(job), job.spec.match
        if reference is None or match is None:
            return job.spec.budget
        record = self._references.get(reference)
        if record is None or record.costs is None:
            why = "it was not run" if record is None else f"it is {record.status}: {record.reason}"
            raise UsageError(f"{job.spec.method} is matched to {match.method}, whose costs are not known: {why}")
        costs: Costs = record.costs
        return job.spec.budget.with_match(match.budget(costs, job.reads is InputMode.FEATURES))

    def _record(
        self, job: Job, refusal: str | None, source: EpisodeSource, wall: float, isolation: Worker
    ) -> tuple[Record, QueryPredictions | None]:
        """The record of one run and its outcomes; whatever goes wrong in it becomes a record with the reason."""
        traced = provenance(self.devices.device_name())
        if refusal is not None:
            return job.record(status="skipped", reason=refusal, provenance=traced), None
        began, under_way = time.monotonic(), None
        try:
            under_way = Measurement(
                job, source, self.devices.with_precision(job.spec.precision), isolation, self._budget(job),
                self._encode_costs(job, source, isolation), wall, traced,
            )  # fmt: skip
            return under_way.run()
        except OUT_OF_MEMORY as error:
            reason = f"memory ran out: {told(error)}"
            limits = job.spec.budget.limits()
            return job.record(status="over_budget", reason=reason, limits=limits, provenance=traced), None
        except Exception as error:  # a defect of a plugin must not cost the other runs
            return self._failure(job, error), None
        except BaseException:  # an interrupt: Lightning turns some into an exit
            seconds = time.monotonic() - began
            costs = under_way.costs if under_way else None
            stage = "while its costs were measured" if costs is None else "while it was scored"
            self._keep(
                job.record(
                    status="failed",
                    reason=f"interrupted {stage}, after {seconds:.1f} s; run again to make it",
                    costs=costs,
                    notes={"partial_seconds": seconds},
                    provenance=traced,
                )
            )
            raise

    def _failure(self, job: Job, error: Exception) -> Record:
        """A failed record; what is no error of the user's keeps its traceback."""
        traced = provenance(self.devices.device_name())
        if not isinstance(error, BenchError):
            own = "".join(traceback.format_exception(error))
            traced["traceback"] = error.traceback if isinstance(error, ChildError) else own
        return job.record(status="failed", reason=told(error), provenance=traced)


def _refusal(job: Job, lacking: str | None) -> str | None:
    """Why a job is not run. lacking: why there are no class values, which methods that read features need."""
    return refusal(job.spec) or (lacking if job.reads is InputMode.FEATURES else None)
