"""Units of work: one run each, with the records that its budget and costs are taken from, and parts of its pools."""

import tempfile
import uuid
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench import registry
from bench.contracts import Backbone, TaskData, UsageError
from bench.contracts.errors import one_line_error
from bench.data.episodes import Episodes, EpisodeSpec, draw_episodes, episode_spec
from bench.engine.trainer import DeviceOptions
from bench.engine.worker import Worker
from bench.meters.memory import LoadedObjects
from bench.results.predictions import QueryPredictions
from bench.results.record import Record
from bench.results.store import Store
from bench.runs.encode_parts import Parts
from bench.runs.group import RunGroup
from bench.runs.report import Report
from bench.runs.reporter import Reporter
from bench.spec.run_spec import RunSpec
from bench.toolkit.trust import trusting
from bench.toolkit.work_lock import work_for


@dataclass(frozen=True)
class Unit:
    """One run to execute.

    Attributes:
        spec: The run.
        id: Id of its record, as the driver knows it.
        recorded: Finished records that the run depends on: that of a matched run, records with costs that it may share,
            and its own where only its costs are measured again.
        parts: Parts of the pools with items of the run, which units that run at the same time share out.
    """

    spec: RunSpec
    id: str
    recorded: tuple[Record, ...] = ()
    parts: Parts = field(default_factory=dict, compare=False)

    def kept(self) -> Hashable:
        """Task and backbone, see Work."""
        return self.spec.shared()


@dataclass(frozen=True)
class UnitOptions:
    """What all units of a call share.

    Attributes:
        devices: Device and batch size; the precision is that of each run.
        isolate: Makes the worker that measures costs, from a backbone's name and instance.
        data: Folder of local data sets; None for each task's own source.
        partial: Folder in which predictions of unfinished runs are kept, where driver and workers share a disk.
        remeasure: Measure again the costs of a unit whose own record is among the recorded ones.
        trust: Load weights from files that run code when they are loaded.
        call: Name of the call, for workers that wait for each other.
    """

    devices: DeviceOptions
    isolate: Callable[[str, Backbone], Worker]
    data: Path | None = None
    partial: Path | None = None
    remeasure: bool = False
    trust: bool = False
    call: str = field(default_factory=lambda: uuid.uuid4().hex)

    def runner(self) -> "UnitRunner":
        """What executes units; see WorkOptions."""
        work_for(self.call)
        return UnitRunner(self)


@dataclass(frozen=True)
class UnitResult:
    """What a worker sends back.

    Attributes:
        record: The record of the run; None where the task or the backbone could not be loaded.
        predictions: Its predictions, if any.
        problems: Messages about what was noticed, one line each.
    """

    record: Record | None
    predictions: QueryPredictions | None = None
    problems: tuple[str, ...] = ()


class _UnitStore(Store):
    """A worker's own store, with unfinished predictions in a folder that a further worker can go on from."""

    def __init__(self, root: Path, partial: Path | None) -> None:
        super().__init__(root)
        self.partial = partial

    def partial_path(self, record_id: str) -> Path:
        own = super().partial_path(record_id)
        return own if self.partial is None else self.partial / own.name


class _KeptOpen:
    """A worker that several groups of runs use one after the other."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.process: Literal["fresh", "same"] = worker.process

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function with the backbone; see Worker.call."""
        return self.worker.call(function, *arguments)

    def close(self) -> None:
        """Keep the worker for the next unit."""


class _Messages(Reporter):
    """A reporter that collects problems."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def problem(self, message: str) -> None:
        """Collect a line."""
        if message not in self.lines:
            self.lines.append(message)


@dataclass
class _Loaded:
    """Task and backbone of the last unit, which the next one most often needs too."""

    key: tuple[Any, ...]
    data: TaskData
    backbone: Backbone
    worker: Worker
    draws: dict[EpisodeSpec, Episodes] = field(default_factory=dict)

    def draw(self, spec: RunSpec) -> Episodes:
        """The episodes of a run."""
        wanted = episode_spec(spec)
        if wanted not in self.draws:
            self.draws[wanted] = draw_episodes(self.data, wanted)
        return self.draws[wanted]


class UnitRunner:
    """Executes units one after the other in this process.

    Attributes:
        options: What all units share.
    """

    def __init__(self, options: UnitOptions) -> None:
        self.options = options
        self._loaded: _Loaded | None = None
        self._objects = LoadedObjects()

    def execute(self, unit: Unit) -> UnitResult:
        """Execute a unit.

        Args:
            unit: The unit.

        Returns:
            Its result. Errors of the run are in the record; those of a task or backbone are problems.

        Raises:
            UsageError: If the run cannot be executed as it is described.
        """
        messages = _Messages()
        with trusting(self.options.trust):
            try:
                loaded = self._load(unit.spec)
            except UsageError:
                raise
            except Exception as error:  # other units are not affected
                return UnitResult(None, problems=(f"{unit.spec.task}: {one_line_error(error)}",))
            with tempfile.TemporaryDirectory(prefix="bench-unit-") as folder:
                return self._executed(unit, loaded, _UnitStore(Path(folder), self.options.partial), messages)

    def _executed(self, unit: Unit, loaded: _Loaded, store: Store, messages: _Messages) -> UnitResult:
        report = Report(store, messages)
        report.shared_costs.in_company = True
        store.prepare()
        for record in unit.recorded:
            store.write(record)
        worker = _KeptOpen(loaded.worker)
        devices = self.options.devices.with_precision(unit.spec.precision)
        group = RunGroup(
            loaded.data, loaded.backbone, lambda: worker, devices, False, report, self.options.remeasure, False,
            unit.parts,
        )  # fmt: skip
        reference = unit.spec.reference()
        specs = [unit.spec] if reference is None else [reference, unit.spec]
        self._objects.skip()
        group.run([(spec, loaded.draw(spec)) for spec in specs])
        made = [record for record in report.records if record.spec == unit.spec]
        problems = tuple(messages.lines)
        if not made:
            return UnitResult(None, problems=problems)
        record = made[-1]
        file = record.predictions
        predictions = store.predictions(record) if file is not None and store.holds(file) else None
        return UnitResult(record, predictions, problems)

    def _load(self, spec: RunSpec) -> _Loaded:
        """Task, backbone and worker of a run; those of the last one where they are the same."""
        key = spec.shared()
        if self._loaded is None or self._loaded.key != key:
            self.close()
            data = registry.make_task(*spec.form()).load(self.options.data)
            backbone = registry.make_backbone(spec.backbone)
            self._loaded = _Loaded(key, data, backbone, self.options.isolate(spec.backbone, backbone))
        return self._loaded

    def close(self) -> None:
        """End the process that measures, and release the backbone."""
        if self._loaded is not None:
            self._loaded.worker.close()
            self._loaded = None
            self._objects.release()
