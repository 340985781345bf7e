"""Runs in, records out: task -> episodes -> features -> method -> metrics -> record."""

import gc
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from bench import planning
from bench.batching import Material
from bench.contracts import (
    CLASSIFICATION,
    Backbone,
    BenchError,
    LanguageBackbone,
    Pool,
    Reads,
    StoreError,
    Task,
    TaskData,
    UsageError,
)
from bench.contracts.loading import cache_folder, file_hash
from bench.devices import DeviceOptions
from bench.episodes import Draw, Episodes, Positions, draw_episodes
from bench.features import FeatureCache, FeatureTable, encode_missing
from bench.measuring import Job, measure
from bench.plugins import get
from bench.provenance import HARNESS, code_fingerprint, library_versions, provenance
from bench.records import Record, Store, run_id
from bench.spec import RunSpec


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

    records: list[Record] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether anything went wrong."""
        return bool(self.problems) or any(record.status == "failed" for record in self.records)


@dataclass(frozen=True)
class Runner:
    """Runs specs against a store.

    data: folder of local data sets, None for each task's own source. force: run again what is recorded.
    trackers: called with every new record; what they raise is reported and harms nothing.
    """

    store: Store
    devices: DeviceOptions
    reporter: Reporter
    data: Path | None = None
    force: bool = False
    trackers: tuple[Callable[[Record], None], ...] = ()

    def run(self, specs: Iterable[RunSpec]) -> Report:
        """Run what is not recorded yet.

        Raises UsageError, before anything is run, if a spec cannot be: too many shots, no such device;
        and StoreError if no record could be written.
        """
        report = Report()
        specs = sorted(specs, key=_group_key)
        for precision in {spec.precision for spec in specs}:
            self.devices.with_precision(precision).device_name()
        self.store.prepare()
        loaded = self._load({spec.task for spec in specs}, report)
        ready = [spec for spec in specs if spec.task in loaded]
        # Methods share draws: the episodes are a matter of the task, not of who answers them.
        draws = {draw: draw_episodes(loaded[draw.task], draw) for draw in {draw_of(spec) for spec in ready}}
        self.reporter.plan(len(ready))
        for (task, backbone, _), group in groupby(ready, key=_group_key):
            try:
                made = planning.make_backbone(backbone)
                with _loaded_objects_set_aside():
                    self._run_group(list(group), loaded[task], made, draws, report)
            except UsageError:
                raise
            except Exception as error:  # a backbone that cannot be made costs its own runs only
                self._problem(f"{task} on {backbone}: {_told(error)}", report)
        return report

    def _problem(self, message: str, report: Report) -> None:
        report.problems.append(message)
        self.reporter.problem(message)

    def _load(self, tasks: set[str], report: Report) -> dict[str, TaskData]:
        loaded = {}
        for name in sorted(tasks):
            try:
                loaded[name] = planning.task_class(name)().load(self.data)
            except UsageError:
                raise
            except Exception as error:  # a task that cannot be read costs its own runs only
                self._problem(f"{name}: {_told(error)}", report)
        return loaded

    def _run_group(
        self,
        specs: list[RunSpec],
        data: TaskData,
        backbone: Backbone,
        draws: dict[Draw, Episodes],
        report: Report,
    ) -> None:
        """Runs that share a task, a backbone and a precision: their items are encoded once, together."""
        jobs = []
        for spec in specs:
            identity = self._identity(spec, data, backbone)
            try:
                recorded = None if self.force else self.store.finished(run_id(identity))
            except StoreError as error:  # a damaged file costs its own run only
                self._problem(str(error), report)
                continue
            if recorded is not None:
                report.records.append(recorded)
                self.reporter.done(recorded)
            else:
                jobs.append(Job(spec, identity, draws[draw_of(spec)], planning.method_class(spec.method)))
        if not jobs:
            return
        try:
            values, lacking = _class_values(data, planning.task_class(jobs[0].spec.task), backbone)
            refusals = {job.id: _refusal(job, lacking) for job in jobs}
            served = [job for job in jobs if refusals[job.id] is None]
            material, wall = self._encode(served, data, backbone, values, jobs[0].spec, report)
        except Exception as error:  # whatever it is, other groups of runs are not to be lost with this one
            for job in jobs:
                self._keep(self._failure(job, error), report)
            return
        for job in jobs:
            self.reporter.running(job.spec)
            self._keep(self._run_job(job, refusals[job.id], material, wall), report)

    def _identity(self, spec: RunSpec, data: TaskData, backbone: Backbone) -> dict[str, Any]:
        """Everything that changes a run's value."""
        modules = (
            get("methods", spec.method).module,
            get("tasks", spec.task).module,
            get("backbones", spec.backbone.partition(":")[0]).module,
            *HARNESS,
        )
        config = planning.method_config(spec.method, spec.config)
        # A file that a config names can change while its name stays.
        files = {name: value for name, value in config if isinstance(value, Path) and value.is_file()}
        hashes = {f"{name} file": file_hash(path) for name, path in files.items()}
        return {
            **spec.model_dump(exclude={"config"}),
            "config": config.model_dump(mode="json") | hashes,
            "data": data.revision,
            "weights": backbone.fingerprint,
            "code": code_fingerprint(modules),
            "libraries": library_versions(),
            "device": self.devices.device_name(),
        }

    def _encode(
        self, jobs: list[Job], data: TaskData, backbone: Backbone, values: Tensor, spec: RunSpec, report: Report
    ) -> tuple[Material, dict[str, float]]:
        """Encode the union of the items of all jobs that read features; returns also the seconds by split."""
        tables, wall = {}, {}
        reading = [job for job in jobs if job.reads is Reads.FEATURES]
        for split, pool in (("support", data.support), ("query", data.query)):
            identity = {
                "weights": backbone.fingerprint,
                "data": data.revision,
                "task": spec.task,
                "split": split,
                "precision": spec.precision,
            }
            cache = FeatureCache(cache_folder(), identity)
            tables[split] = cache.load(split, len(pool.labels))
            wanted = [getattr(job.episodes, split).ravel() for job in reading]
            positions = np.unique(np.concatenate(wanted)) if wanted else np.empty(0, dtype=np.int64)
            wall[split] = self._encode_pool(spec, backbone, pool, tables[split], positions, cache, report)
        task = planning.task_class(spec.task)()
        return Material(task, data, backbone, values, tables["support"], tables["query"]), wall

    def _encode_pool(
        self,
        spec: RunSpec,
        backbone: Backbone,
        pool: Pool,
        table: FeatureTable,
        positions: Positions,
        cache: FeatureCache,
        report: Report,
    ) -> float:
        missing = table.missing(positions)
        if len(missing) == 0:
            return 0.0
        advance = self.reporter.encoding(f"{spec.task} {table.split}", len(missing))
        devices = self.devices.with_precision(spec.precision)

        def complain(message: str) -> None:
            self._problem(message, report)

        return encode_missing(backbone, pool, table, missing, cache, devices, advance, complain)

    def _failure(self, job: Job, error: Exception) -> Record:
        """A failed record; what is no error of the user's keeps its traceback."""
        traced = provenance(self.devices.device_name())
        if not isinstance(error, BenchError):
            traced["traceback"] = "".join(traceback.format_exception(error))
        return job.record(status="failed", reason=_told(error), provenance=traced)

    def _run_job(self, job: Job, refusal: str | None, material: Material, wall: dict[str, float]) -> Record:
        """The record of one run; whatever goes wrong in it becomes a failed record with the reason."""
        traced = provenance(self.devices.device_name())
        if refusal is not None:
            return job.record(status="skipped", reason=refusal, provenance=traced)
        try:
            return measure(job, material, self.devices.with_precision(job.spec.precision), sum(wall.values()), traced)
        except Exception as error:  # a defect of a plugin must not cost the other runs
            return self._failure(job, error)

    def _keep(self, record: Record, report: Report) -> None:
        report.records.append(record)
        try:
            self.store.write(record)
        except StoreError as error:
            self._problem(str(error), report)
        self.reporter.done(record)
        for track in self.trackers:
            try:
                track(record)
            except Exception as error:  # a tracker's failure is never the run's
                self.reporter.problem(f"tracking failed, the record is kept: {type(error).__name__}: {error}")


def _class_values(data: TaskData, task: type[Task], backbone: Backbone) -> tuple[Tensor, str | None]:
    """``[class, dim_v]``, of width 0 where there are none, and why a language model has none for these answers.

    An answer may be several tokens, which no feature stands for; it is then scored by its log-probability alone.
    """
    none = torch.zeros(len(data.classes), 0)
    # Where there is nothing to choose from, a class stands for all items and means nothing.
    if task.kind not in CLASSIFICATION:
        return none, None
    try:
        return backbone.class_values(data.classes, task.prompts).float(), None
    except UsageError as error:
        if isinstance(backbone, LanguageBackbone):
            return none, str(error)
        raise


def _refusal(job: Job, lacking: str | None) -> str | None:
    """Why a job is not run. lacking: why there are no class values, which methods that read features need."""
    return planning.refusal(job.spec) or (lacking if job.reads is Reads.FEATURES else None)


@contextmanager
def _loaded_objects_set_aside() -> Iterator[None]:
    """Keep what is loaded by now out of garbage collections, which take half a second with it and some ms without.

    A Trainer and its module refer to each other, so that a method's tensors are freed by a collection alone: it has
    to be cheap enough to be made before each measured stage, or hundreds of groups of episodes fill the memory.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _told(error: Exception) -> str:
    """An error in one line, with its type where it is no error of the user's."""
    return str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {' '.join(str(error).split())}"


def _group_key(spec: RunSpec) -> tuple[str, str, str]:
    return spec.task, spec.backbone, spec.precision


def draw_of(spec: RunSpec) -> Draw:
    """The draw that a run asks for."""
    return Draw(
        task=spec.task,
        seed=spec.seed,
        n_episodes=spec.n_episodes,
        n_shot=None if spec.n_shot == "full" else spec.n_shot,
        n_query=spec.n_query,
        n_way=spec.n_way,
    )
