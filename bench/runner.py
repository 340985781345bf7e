"""Runs in, records out: task -> episodes -> features -> method -> metrics -> record."""

import statistics
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench import planning
from bench.adaptation import Outcome, adapt_and_answer
from bench.batching import EpisodeGroup, Material
from bench.contracts import AnyMethod, Backbone, BenchError, Method, Pool, Reads, StoreError, TaskData, UsageError
from bench.contracts.loading import cache_folder
from bench.devices import DeviceOptions
from bench.episodes import Draw, Episodes, Positions, draw_episodes, name_seed
from bench.features import FeatureCache, FeatureTable, encode_missing
from bench.meter import MIB
from bench.metrics import accuracy, summarise
from bench.plugins import get
from bench.provenance import HARNESS, code_fingerprint, library_versions, provenance
from bench.records import Costs, Record, Store, run_id
from bench.spec import RunSpec

COST_REPEATS = 3
SLOW_EPISODE_SECONDS = 2.0
"""An episode slower than this is measured once more, not COST_REPEATS times."""


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
class Job:
    """A run that is not recorded yet."""

    spec: RunSpec
    identity: dict[str, Any]
    episodes: Episodes
    method: type[Method]

    @property
    def id(self) -> str:
        """Names the record."""
        return run_id(self.identity)

    def record(self, **result: Any) -> Record:
        """A record of this run."""
        return Record(id=self.id, spec=self.spec, identity=self.identity, **result)


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

        Raises UsageError, before anything is run, if a spec cannot be: too many shots, no such device.
        """
        report = Report()
        specs = sorted(specs, key=_group_key)
        self.devices.device_name()
        loaded = self._load({spec.task for spec in specs}, report)
        ready = [spec for spec in specs if spec.task in loaded]
        # Methods share draws: the episodes are a matter of the task, not of who answers them.
        draws = {draw: draw_episodes(loaded[draw.task], draw) for draw in {draw_of(spec) for spec in ready}}
        self.reporter.plan(len(ready))
        for (task, backbone, _), group in groupby(ready, key=_group_key):
            try:
                self._run_group(list(group), loaded[task], planning.make_backbone(backbone), draws, report)
            except UsageError:
                raise
            except BenchError as error:
                self._problem(f"{task} on {backbone}: {error}", report)
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
            except BenchError as error:
                self._problem(f"{name}: {error}", report)
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
            recorded = None if self.force else self.store.finished(run_id(identity))
            if recorded is not None:
                report.records.append(recorded)
                self.reporter.done(recorded)
            else:
                jobs.append(Job(spec, identity, draws[draw_of(spec)], planning.method_class(spec.method)))
        if not jobs:
            return
        served = [job for job in jobs if planning.refusal(job.spec) is None]
        material, wall = self._encode(served, data, backbone, jobs[0].spec)
        for job in jobs:
            self.reporter.running(job.spec)
            self._keep(self._run_job(job, material, wall), report)

    def _identity(self, spec: RunSpec, data: TaskData, backbone: Backbone) -> dict[str, Any]:
        """Everything that changes a run's value."""
        modules = (
            get("methods", spec.method).module,
            get("tasks", spec.task).module,
            get("backbones", spec.backbone.partition(":")[0]).module,
            *HARNESS,
        )
        return {
            **spec.model_dump(exclude={"config"}),
            "config": planning.method_config(spec.method, spec.config).model_dump(),
            "data": data.revision,
            "weights": backbone.fingerprint,
            "code": code_fingerprint(modules),
            "libraries": library_versions(),
            "device": self.devices.device_name(),
        }

    def _encode(
        self, jobs: list[Job], data: TaskData, backbone: Backbone, spec: RunSpec
    ) -> tuple[Material, dict[str, float]]:
        """Encode the union of the items of all jobs that read features; returns also the seconds by split."""
        tables, wall = {}, {}
        reading = [job for job in jobs if job.method.reads is Reads.FEATURES]
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
            wall[split] = self._encode_pool(spec, backbone, pool, tables[split], positions, cache)
        task = planning.task_class(spec.task)()
        values = backbone.class_values(data.classes, task.prompt).float()
        return Material(task, data, backbone, values, tables["support"], tables["query"]), wall

    def _encode_pool(
        self, spec: RunSpec, backbone: Backbone, pool: Pool, table: FeatureTable, positions: Positions, cache: FeatureCache
    ) -> float:
        missing = table.missing(positions)
        if len(missing) == 0:
            return 0.0
        advance = self.reporter.encoding(f"{spec.task} {table.split}", len(missing))
        devices = self.devices.with_precision(spec.precision)
        return encode_missing(backbone, pool, table, missing, cache, devices, advance)

    def _run_job(self, job: Job, material: Material, wall: dict[str, float]) -> Record:
        """The record of one run; whatever goes wrong in it becomes a failed record with the reason."""
        traced = provenance(self.devices.device_name())
        reason = planning.refusal(job.spec)
        if reason is not None:
            return job.record(status="skipped", reason=reason, provenance=traced)
        try:
            return self._measure(job, material, sum(wall.values()), traced)
        except BenchError as error:
            return job.record(status="failed", reason=str(error), provenance=traced)
        except Exception as error:  # a defect of a plugin must not cost the other runs
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            return job.record(status="failed", reason=reason, provenance=traced | {"traceback": traceback.format_exc()})

    def _measure(self, job: Job, material: Material, wall: float, traced: dict[str, Any]) -> Record:
        config = planning.method_config(job.spec.method, job.spec.config)
        task_prior = material.task.prior_count
        prior_count = material.backbone.prior_count if task_prior is None else task_prior
        devices = self.devices.with_precision(job.spec.precision)

        def make(group: EpisodeGroup) -> AnyMethod:
            return job.method(config, material.backbone, group.setting())  # type: ignore[return-value]

        def group_at(start: int, size: int) -> EpisodeGroup:
            seed = name_seed(job.spec.task, job.spec.n_way, job.spec.seed, "method", start)
            return EpisodeGroup(material, job.episodes[start : start + size], job.method.reads, prior_count, seed)

        def answer(group: EpisodeGroup) -> Outcome:
            return adapt_and_answer(make, group, devices)

        size = job.method.episodes_at_once
        groups = [group_at(start, size) for start in range(0, len(job.episodes), size)]
        if size == 1:
            outcomes = [answer(group) for group in groups]
            alone: Sequence[Outcome] = outcomes[1:] or outcomes
        else:
            # Costs are those of an episode alone; the scores come from all of them, vectorised.
            first = group_at(0, 1)
            warm = answer(first)
            slow = warm.adapt.seconds + warm.query.seconds > SLOW_EPISODE_SECONDS
            alone = [answer(first) for _ in range(1 if slow else COST_REPEATS)]
            outcomes = [answer(group) for group in groups]
        scores = [
            float(score)
            for group, outcome in zip(groups, outcomes, strict=True)
            for score in accuracy(outcome.scores, group.labels)
        ]
        n_queries = sum(outcome.n_queries for outcome in outcomes)
        score = summarise(scores, n_queries)
        return job.record(
            status="ok",
            value=score.value,
            ci95=score.ci95,
            episode_scores=scores,
            n_queries=n_queries,
            costs=_costs(job, material, alone, wall),
            notes=_merged([outcome.notes for outcome in outcomes]),
            provenance=traced,
        )

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


def _encode_seconds(job: Job, material: Material) -> float:
    """What encoding the first episode takes, from the items' own measured shares."""
    if job.method.reads is not Reads.FEATURES:
        return 0.0
    first = job.episodes[:1]
    tables = ((material.support, first.support), (material.query, first.query))
    return sum(float(table.seconds[table.row[np.unique(part[part >= 0])]].sum()) for table, part in tables)


def _costs(job: Job, material: Material, alone: Sequence[Outcome], wall: float) -> Costs:
    """Medians over ``alone``, outcomes of one episode each."""
    reads_features = job.method.reads is Reads.FEATURES
    return Costs(
        encode_seconds=_encode_seconds(job, material),
        encode_wall_seconds=wall if reads_features else 0.0,
        encode_peak_memory_mb=max(material.support.peak_memory_mb, material.query.peak_memory_mb) if reads_features else 0.0,
        adapt_seconds=statistics.median(outcome.adapt.seconds for outcome in alone),
        adapt_peak_memory_mb=max(outcome.adapt.peak_memory_mb for outcome in alone),
        query_milliseconds=statistics.median(1000 * outcome.query.seconds / outcome.n_queries for outcome in alone),
        query_peak_memory_mb=max(outcome.query.peak_memory_mb for outcome in alone),
        state_mb=statistics.median(outcome.state_bytes for outcome in alone) / MIB,
        trainable_params=alone[0].trainable_params,
        memory_meter=alone[0].query.memory_meter,
        repeats=len(alone),
    )


def _merged(notes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One value where all outcomes agree, a list of all where they do not."""
    merged = {}
    for key in sorted({key for note in notes for key in note}):
        values = [note.get(key) for note in notes]
        merged[key] = values[0] if all(value == values[0] for value in values) else values
    return merged
