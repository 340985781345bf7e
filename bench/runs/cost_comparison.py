"""Costs of two recorded methods, measured anew in turn on each task and number of shots."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import registry
from bench.contracts import Backbone, TaskData, UsageError
from bench.costs.host_lock import alone
from bench.costs.in_turn import InTurn, measure_in_turn
from bench.costs.protocol import CostRequest, cost_request
from bench.data.episodes import draw_episodes, episode_spec
from bench.engine.trainer import DeviceOptions
from bench.engine.worker import Worker
from bench.results.record import Record
from bench.results.run_texts import task_text
from bench.runs import runner
from bench.runs.encode import EncodeCosts, encode_group
from bench.runs.plan import PlannedRun, planned
from bench.runs.report import Report
from bench.spec.budget import Budget
from bench.spec.costs import StageCosts
from bench.spec.run_spec import RunSpec, Shots

EPISODES = 2
"""Episodes that are needed: one to measure, one to warm up."""


@dataclass(frozen=True)
class CostComparison:
    """Costs of two methods on one task.

    Attributes:
        task: The task.
        backbone: The backbone.
        shots: Support examples per class.
        measured: Their ratios.
    """

    task: str
    backbone: str
    shots: Shots
    measured: InTurn


def compare_costs(
    pairs: Sequence[tuple[Shots, Record, Record]], devices: DeviceOptions, data: Path | None, report: Report
) -> list[CostComparison]:
    """Measure the costs of pairs of recorded runs in turn.

    Args:
        pairs: Number of shots, and a record of each method on the same task and backbone.
        devices: Device and batch size; the precision is that of the records.
        data: Folder of local data sets; None for each task's own source.
        report: Receives progress.

    Returns:
        One comparison for each pair, in the same order.

    Raises:
        UsageError: If a run exceeds its budget, or its method needs class embeddings that are missing; for two runs of
            different precision.
    """
    return list(each_comparison(pairs, devices, data, report))


def each_comparison(
    pairs: Sequence[tuple[Shots, Record, Record]],
    devices: DeviceOptions,
    data: Path | None,
    report: Report,
    encoded: Collection[tuple[str, str]] = (),
) -> Iterator[CostComparison]:
    """Measure pairs of recorded runs in turn, and yield each comparison as soon as it is made.

    Args:
        pairs: As for ``compare_costs``.
        devices: As for ``compare_costs``.
        data: As for ``compare_costs``.
        report: Receives progress.
        encoded: Ids of both records of the pairs for which encoding is measured too.

    Yields:
        One comparison for each pair, in the same order.

    Raises:
        UsageError: As for ``compare_costs``.
    """
    for _, first, second in pairs:
        if first.spec.precision != second.spec.precision:
            raise UsageError(
                f"costs of two methods are measured at one precision, and {first.spec.method} was run at "
                f"{first.spec.precision}, {second.spec.method} at {second.spec.precision}; run both at one --precision"
            )
    workers: dict[str, tuple[Backbone, Worker]] = {}
    try:
        for shots, first, second in pairs:
            spec = first.spec
            if spec.backbone not in workers:
                backbone = registry.make_backbone(spec.backbone)
                workers[spec.backbone] = backbone, runner.fresh_processes(spec.backbone, backbone)
            loaded = registry.make_task(*spec.form()).load(data)
            with_encoding = (first.id, second.id) in encoded
            of_pair = _Pair(
                loaded, *workers[spec.backbone], devices.with_precision(spec.precision), report, with_encoding
            )
            report.reporter.running(spec)
            yield CostComparison(task_text(spec), spec.backbone, shots, of_pair.measured(first, second))
    finally:
        for _, worker in workers.values():
            worker.close()


@dataclass(frozen=True)
class _Pair:
    """What two runs on one task share."""

    data: TaskData
    backbone: Backbone
    worker: Worker
    devices: DeviceOptions
    report: Report
    encoded: bool

    def measured(self, first: Record, second: Record) -> InTurn:
        runs = [self._planned(record.spec) for record in (first, second)]
        encoded = encode_group(self.data, self.backbone, runs, self.devices, self.report, self.worker)
        modes = {run.run.input_mode for run in runs}
        for run in runs:
            if (reason := encoded.embeddings.refusal(run.run)) is not None:
                raise UsageError(reason)
        encode = EncodeCosts(encoded.source, self.worker, self.devices, self.report.reporter.problem)

        def request(run: PlannedRun, record: Record) -> CostRequest:
            # Encoding that both need cancels out, except from limits on operations.
            needed = self.encoded or len(modes) > 1 or "flops" in record.limits
            cost = encode.of_episode(run) if needed else StageCosts()
            limits = Budget(**record.limits)
            return cost_request(
                run.run, encoded.source_of(run.run), run.episodes, limits, cost, self.devices, self.worker
            )

        a, b = (request(run, record) for run, record in zip(runs, (first, second), strict=True))
        what = f"{first.spec.task} {first.spec.method} and {second.spec.method}"
        with alone(self.devices.device_id(), what, self.report.reporter.problem):
            return measure_in_turn(self.worker, a, b, self.encoded or len(modes) > 1)

    def _planned(self, spec: RunSpec) -> PlannedRun:
        episodes = draw_episodes(self.data, episode_spec(spec))[:EPISODES]
        return planned(spec, episodes, self.data, self.backbone, self.devices)
