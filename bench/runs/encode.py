"""Encoding for a group of runs: each distinct item of their episodes once, and its costs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from bench.contracts import Backbone, InputMode, Pool, TaskData
from bench.costs.encoding import encode_costs, one_pass, sample, scaled
from bench.costs.host_lock import alone
from bench.data.batches import EpisodeSource
from bench.data.class_embeddings import ClassEmbeddings, class_embeddings
from bench.data.episodes import PADDING, Positions
from bench.data.feature_cache import pool_cache
from bench.data.features import FeatureTable
from bench.data.payload import in_memory
from bench.engine.encoding import Encoded, encode, free_device
from bench.engine.trainer import DeviceOptions
from bench.engine.worker import Worker
from bench.runs.encode_parts import Parts, PoolEncoding, distinct_items
from bench.runs.plan import PlannedRun
from bench.runs.report import Report
from bench.spec.costs import StageCosts
from bench.spec.resolve import ResolvedRun


@dataclass(frozen=True)
class EncodedGroup:
    """Encoded pools for a group of runs.

    Attributes:
        source: The pools with features of all items that any run of the group reads.
        wall_seconds: Seconds that encoding took; 0 if everything was cached.
        embeddings: Class embeddings of the task.
    """

    source: EpisodeSource
    wall_seconds: float
    embeddings: ClassEmbeddings

    def source_of(self, run: ResolvedRun) -> EpisodeSource:
        """The pools with the class embeddings of a run.

        Args:
            run: One of the group's runs.

        Returns:
            The source of its episodes.
        """
        return replace(self.source, class_embeddings=self.embeddings.of_run(run))


def encode_group(
    data: TaskData,
    backbone: Backbone,
    runs: Sequence[PlannedRun],
    devices: DeviceOptions,
    report: Report,
    worker: Worker,
    parts: Parts | None = None,
) -> EncodedGroup:
    """Encode the union of the items of all runs that read features.

    Args:
        data: The task's data.
        backbone: The frozen backbone.
        runs: Runs of one task, backbone and precision; one at least.
        devices: Device, precision and batch size.
        report: Receives progress, and a problem where the cache cannot be written.
        worker: Encodes where several devices hold the backbone together; this process does so otherwise.
        parts: Parts that other processes encode too; see PoolEncoding.

    Returns:
        The encoded pools.
    """
    embeddings = class_embeddings(data, runs[0].run.task, backbone)
    reading = [run for run in runs if run.run.input_mode is InputMode.FEATURES and embeddings.refusal(run.run) is None]
    for said in {note: None for run in reading for note in embeddings.notes_of(run.run).values()}:
        methods = [run.spec.method for run in reading if said in embeddings.notes_of(run.run).values()]
        named = ", ".join(dict.fromkeys(methods))
        report.reporter.problem(f"{runs[0].spec.task} on {runs[0].spec.backbone}: class embeddings of {named}: {said}")
    encoder = encode if devices.strategy is None else partial(_encoded_by, worker)
    tables: dict[str, FeatureTable] = {}
    wall = 0.0
    spec = runs[0].spec
    for split, pool in (("support", data.support), ("query", data.query)):
        cache = pool_cache(backbone, data.revision, spec, split, devices.device_kind())
        table = tables[split] = cache.load(split, len(pool.labels), report.reporter.problem)
        if not len(table.missing(positions := distinct_items(reading, split))):
            continue
        name = f"{spec.task} {split}"
        title = f"{spec.backbone} encodes {name}"
        encoding = PoolEncoding(backbone, pool, table, cache, devices, report, name, title, encoder)
        encoding.add(positions, (parts or {}).get(split, ()))
        wall += encoding.seconds
    if wall:
        free_device(backbone)
    source = EpisodeSource(data, backbone, embeddings.values, tables["support"], tables["query"])
    return EncodedGroup(source, wall, embeddings)


def _encoded_by(
    worker: Worker,
    _: Backbone,
    pool: Pool,
    positions: Positions,
    devices: DeviceOptions,
    advance: Callable[[int], None],
) -> Encoded:
    """``encode`` in a worker, which has a copy of the items."""
    items = Pool(in_memory(pool.inputs, positions), np.zeros(len(positions), dtype=np.int64))
    done: Encoded = worker.call(encode, items, np.arange(len(positions)), devices)
    advance(len(positions))
    broken = {int(positions[place]): error for place, error in done.broken.items()}
    return replace(done, positions=positions[done.positions], broken=broken)


@dataclass
class EncodeCosts:
    """Encoding costs of a group, each measured once and shared by all runs with episodes of the same size.

    Attributes:
        source: The group's encoded pools.
        worker: Where costs are measured.
        devices: Device, precision and batch size.
        notify: Called with a message while another process measures.
        measured: Costs so far: of episodes by their size, of samples, and of one pass.
    """

    source: EpisodeSource
    worker: Worker
    devices: DeviceOptions
    notify: Callable[[str], None]
    measured: dict[tuple[Any, ...], StageCosts] = field(default_factory=dict)

    def of_episode(self, run: PlannedRun) -> StageCosts:
        """Cost of encoding a run's first episode; 0 for a method that reads raw inputs."""
        if run.run.input_mode is not InputMode.FEATURES:
            return StageCosts()
        # All episodes: costs are measured on the first, after a warm-up on another.
        self.source.support.require(run.episodes.support)
        self.source.query.require(run.episodes.query)
        size = ("episode", run.spec.shots, run.spec.queries, run.spec.ways)
        if size not in self.measured:
            first = run.episodes[:1]
            data = self.source.data
            items = sample([(data.support, first.support), (data.query, first.query)])
            # Texts are of different lengths; any image costs the same.
            kind = ("sample", *(size if isinstance(items.inputs[0]["input"], str) else (len(items.labels),)))
            if kind not in self.measured:
                with alone(self.devices.device_id(), f"{run.spec.backbone} encodes", self.notify):
                    self.measured[kind] = self.worker.call(encode_costs, items, self.devices)
            cost = self.measured[kind]
            n_items = sum(int((part != PADDING).sum()) for part in (first.support, first.query))
            self.measured[size] = scaled(cost, n_items / len(items.labels))
        return self.measured[size]

    def least(self, run: PlannedRun) -> StageCosts:
        """Cost that no method can avoid: encoding the episode, or one forward pass where inputs are read raw."""
        if run.run.input_mode is InputMode.FEATURES:
            return self.of_episode(run)
        if ("pass",) not in self.measured:
            raw = self.source.data.query.inputs[int(run.episodes.query[0, 0])]["input"]
            with alone(self.devices.device_id(), f"{run.spec.backbone} reads an input", self.notify):
                self.measured["pass",] = self.worker.call(one_pass, raw, run.run.task.window, self.devices)
        return self.measured["pass",]
