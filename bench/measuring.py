"""One run, measured: scores from all its episodes, costs from one alone."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import planning
from bench.adaptation import Outcome, adapt_and_answer
from bench.batching import NUMBERS_AT_ONCE, EpisodeGroup, Material
from bench.contracts import AnyMethod, DataError, GradientMethod, Method, Reads
from bench.devices import DeviceOptions
from bench.episodes import Episodes, name_seed
from bench.judging import judge
from bench.meter import MIB
from bench.records import Costs, Record, run_id
from bench.spec import RunSpec

COST_REPEATS = 3
SLOW_EPISODE_SECONDS = 2.0
"""An episode slower than this is measured once more, not COST_REPEATS times."""


@dataclass(frozen=True)
class Job:
    """A run that is not recorded yet."""

    spec: RunSpec
    identity: dict[str, Any]
    episodes: Episodes
    method: type[Method]

    @property
    def reads(self) -> Reads:
        """What the method needs of this task's items."""
        return self.method.reads_for(planning.task_class(self.spec.task).kind)

    @property
    def id(self) -> str:
        """Names the record."""
        return run_id(self.identity)

    def record(self, **result: Any) -> Record:
        """A record of this run."""
        return Record(id=self.id, spec=self.spec, identity=self.identity, **result)


def measure(
    job: Job, material: Material, devices: DeviceOptions, encode_wall_seconds: float, provenance: dict[str, Any]
) -> Record:
    """Run a job and make its record. Raises whatever its method raises."""
    if issubclass(job.method, GradientMethod) and job.episodes.support.shape[1] == 0:
        raise DataError(f"{job.spec.method} learns from examples and got an empty support set; use --shots 1 or more")
    config = planning.method_config(job.spec.method, job.spec.config)
    task_prior = material.task.prior_count
    prior_count = material.backbone.prior_count if task_prior is None else task_prior

    def make(group: EpisodeGroup) -> AnyMethod:
        return job.method(config, material.backbone, group.setting())  # type: ignore[return-value]

    def group_at(start: int, size: int) -> EpisodeGroup:
        seed = name_seed(job.spec.task, job.spec.n_way, job.spec.seed, "method", start)
        return EpisodeGroup(material, job.episodes[start : start + size], job.reads, prior_count, seed)

    def answer(group: EpisodeGroup) -> Outcome:
        return adapt_and_answer(make, group, devices)

    size = _episodes_at_once(job, material)
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
    judged = judge(material.task.kind, outcomes, groups)
    return job.record(
        status="ok",
        metric=judged.metric,
        value=judged.score.value,
        ci95=judged.score.ci95,
        episode_scores=judged.episode_scores,
        n_queries=judged.n_queries,
        costs=_costs(job, material, alone, encode_wall_seconds),
        notes=_merged([outcome.notes for outcome in outcomes]) | judged.notes,
        provenance=provenance,
    )


def _episodes_at_once(job: Job, material: Material) -> int:
    """As many as the method takes, but no more than keep their support set's keys within NUMBERS_AT_ONCE."""
    if job.reads is Reads.INPUTS:
        return 1
    numbers: int = job.episodes.support.shape[1] * material.query.keys.shape[-1]
    return max(1, min(job.method.episodes_at_once, NUMBERS_AT_ONCE // max(1, numbers)))


def _encode_seconds(job: Job, material: Material) -> float:
    """What encoding the first episode takes, from the items' own measured shares."""
    if job.reads is not Reads.FEATURES:
        return 0.0
    first = job.episodes[:1]
    tables = ((material.support, first.support), (material.query, first.query))
    return sum(float(table.seconds[table.row[np.unique(part[part >= 0])]].sum()) for table, part in tables)


def _costs(job: Job, material: Material, alone: Sequence[Outcome], wall: float) -> Costs:
    """Medians over ``alone``, outcomes of one episode each."""
    reads_features = job.reads is Reads.FEATURES
    return Costs(
        encode_seconds=_encode_seconds(job, material),
        encode_wall_seconds=wall if reads_features else 0.0,
        encode_peak_memory_mb=max(material.support.peak_memory_mb, material.query.peak_memory_mb)
        if reads_features
        else 0.0,
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
