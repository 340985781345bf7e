"""Encoding in parts: several processes share out the items of a pool, and each part is encoded once on a machine.

The parts are those in which one process would encode the items of all runs. Features of texts depend in their last
digits on the texts of the same batch, so that scores are those of one process where the parts are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from bench.contracts import Backbone, InputMode, Pool, TaskData
from bench.costs.host_lock import beside_others
from bench.data.episodes import Positions
from bench.data.feature_cache import FeatureCache, pool_cache
from bench.data.features import FeatureTable
from bench.engine.encoding import Encoder, encode, encode_missing, in_parts
from bench.engine.trainer import DeviceOptions
from bench.runs.plan import PlannedRun
from bench.runs.report import Report
from bench.runs.waves import waves

Parts = Mapping[str, Sequence[Positions]]
"""Positions of the items of each part of a pool, by split."""


def parts_of_runs(
    data: TaskData,
    backbone: Backbone,
    runs: Sequence[PlannedRun],
    devices: DeviceOptions,
    warn: Callable[[str], None],
) -> dict[str, Parts]:
    """The parts in which one process would encode what is not in this process's cache.

    Args:
        data: The task's data.
        backbone: The frozen backbone.
        runs: Runs of one task, backbone and precision.
        devices: Their device.
        warn: Called with one line about damaged files of the cache.

    Returns:
        The parts with items of a run, by the id of each run that reads features.
    """
    if not runs:
        return {}
    reading = [[run for run in wave if run.run.input_mode is InputMode.FEATURES] for wave in waves(runs)]
    named = [(run.id, run.episodes) for run in chain(*reading)]
    found: dict[str, dict[str, Sequence[Positions]]] = {id_: {} for id_, _ in named}
    for split, pool in (("support", data.support), ("query", data.query)) if found else ():
        cache = pool_cache(backbone, data.revision, runs[0].spec, split, devices.device_kind())
        table = cache.load(split, len(pool.labels), warn)
        parts = list[Positions]()
        # The last entry is that of the padding of episodes.
        number = np.full(len(pool.labels) + 1, -1)
        for wave in reading:
            wanted = table.missing(distinct_items(wave, split))
            for part in in_parts(backbone, pool, wanted[number[wanted] < 0]):
                number[part] = len(parts)
                parts.append(part.astype(np.int32))
        drawn = {id(episodes): episodes for _, episodes in named}
        chosen = {key: np.unique(number[getattr(episodes, split)]) for key, episodes in drawn.items()}
        for id_, episodes in named:
            found[id_][split] = [parts[place] for place in chosen[id(episodes)] if place >= 0]
    return dict(found)


def distinct_items(runs: Sequence[PlannedRun], split: str) -> Positions:
    """``[item]``, the items that some runs read, in order; a -1 where their episodes are padded.

    Args:
        runs: The runs.
        split: "support" or "query".

    Returns:
        Positions in the pool.
    """
    return np.unique(np.concatenate([np.empty(0, np.int64), *(getattr(run.episodes, split).ravel() for run in runs)]))


@dataclass
class PoolEncoding:
    """Encoding of the items of one pool that are not in the cache, beside other processes that do the same.

    Attributes:
        backbone: The frozen backbone.
        pool: The pool.
        table: Features of its items; extended in place.
        cache: Their files.
        devices: Device, precision and batch size.
        report: Receives progress and problems.
        name: The pool in words.
        title: The work in words, for processes that wait.
        encoder: What encodes.
        seconds: Seconds of encoding so far.
    """

    backbone: Backbone
    pool: Pool
    table: FeatureTable
    cache: FeatureCache
    devices: DeviceOptions
    report: Report
    name: str
    title: str
    encoder: Encoder = encode
    seconds: float = field(default=0.0, init=False)

    def add(self, positions: Positions, parts: Sequence[Positions] = ()) -> None:
        """Add the features of some items to the table.

        Args:
            positions: Positions in the pool.
            parts: Parts that other processes encode too, as ``parts_of_runs`` gives them. Those that another process
                is encoding come last, and are then read from the cache. Items of no part are encoded as one process
                would encode them.
        """
        missing = self._missing(positions)
        left = [part for part in parts if np.isin(part, missing).any()]
        for wait in (False, True):
            elsewhere = []
            for part in left:
                with self.cache.claimed(self.title, self.report.reporter.problem, part, wait) as claimed:
                    if claimed:
                        self._encode(part)
                    else:
                        elsewhere.append(part)
            left = elsewhere
        if len(self._missing(positions)):
            with self.cache.claimed(self.title, self.report.reporter.problem):
                self._encode(positions)

    def _missing(self, positions: Positions) -> Positions:
        """Positions of readable items without features, as far as is known."""
        missing = self.table.missing(positions)
        return missing[~np.isin(missing, list(self.table.broken))]

    def _encode(self, positions: Positions) -> None:
        """Encode what other processes have not encoded meanwhile."""
        self.cache.update(self.table, self.report.reporter.problem)
        if not len(wanted := self._missing(positions)):
            return
        with beside_others(self.devices.device_id(), self.title, self.report.problem):
            advance = self.report.reporter.encoding(self.name, len(wanted))
            self.seconds += encode_missing(
                self.backbone, self.pool, self.table, wanted, self.cache, self.devices, advance, self.report.problem,
                self.encoder,
            )  # fmt: skip
