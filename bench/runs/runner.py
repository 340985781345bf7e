"""The runner: loads tasks, draws episodes and runs groups that share a task, a backbone and a precision."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path

from bench import registry
from bench.contracts import Backbone, TaskData, UsageError
from bench.contracts.errors import one_line_error
from bench.contracts.kinds import PromptStyle, Template
from bench.data.episodes import Episodes, EpisodeSpec, draw_episodes, episode_spec
from bench.engine.trainer import DeviceOptions, KnownDevice
from bench.engine.worker import ForkedWorker, InlineWorker, Worker
from bench.meters.memory import garbage_collection_frozen
from bench.results.store import Store
from bench.results.store_files import PARTIAL
from bench.runs.encode_parts import Parts, parts_of_runs
from bench.runs.executors import Executor, UnitOptions
from bench.runs.executors.driver import Driver
from bench.runs.fitting import Defaults, draw_key, limited, quick_look_note, warnings_of
from bench.runs.group import RunGroup
from bench.runs.plan import PlanEntry, PlannedRun
from bench.runs.report import Report
from bench.runs.reporter import Reporter
from bench.runs.splittable import require_splittable
from bench.runs.time_left import TimeLeft
from bench.runs.trackers.interface import Tracker
from bench.runs.waves import n_items
from bench.spec.expand import refusal
from bench.spec.run_spec import RunSpec
from bench.toolkit.collection import without_collection
from bench.toolkit.trust import trusted

Form = tuple[str, PromptStyle, Template]
"""See ``RunSpec.form``."""


def fresh_processes(name: str, backbone: Backbone, devices: DeviceOptions | None = None) -> Worker:
    """A worker that measures each episode in a fresh process; it starts loading the backbone at once.

    Args:
        name: Name of the backbone.
        backbone: The loaded backbone of this process.
        devices: Devices that hold the worker's backbone together, by their strategy; None for one device.

    Returns:
        The worker.
    """
    return ForkedWorker(partial(registry.load_backbone, name), devices).start()


def same_process(name: str, backbone: Backbone) -> Worker:
    """A worker that measures in this process: for tests with stand-ins, and for a quick start.

    Args:
        name: Name of the backbone.
        backbone: The loaded backbone.

    Returns:
        The worker.
    """
    return InlineWorker(backbone)


@dataclass(frozen=True)
class Runner:
    """Runs specs against a store.

    Attributes:
        store: Where records are kept.
        devices: Device and batch size.
        reporter: Receives progress.
        data: Folder of local data sets; None for each task's own source.
        force: Run again what is recorded.
        trackers: Receive every new record; their errors are reported and change no run.
        isolate: Makes the worker that measures costs, from a backbone's name and instance.
        remeasure: Measure again, alone, the recorded costs that were measured in company.
        rescue: Folder for results that the store cannot keep; by default one among the system's temporary files.
        executor: Executes the runs in other processes; None for this one.
        defaults: Runs whose numbers of queries or episodes shrink where the data are smaller.
    """

    store: Store
    devices: DeviceOptions
    reporter: Reporter
    data: Path | None = None
    force: bool = False
    trackers: tuple[Tracker, ...] = ()
    isolate: Callable[[str, Backbone], Worker] = fresh_processes
    remeasure: bool = False
    rescue: Path | None = None
    executor: Executor | None = None
    defaults: Defaults = field(default_factory=Defaults)

    def run(self, specs: Iterable[RunSpec]) -> Report:
        """Execute the runs without a finished record.

        An interrupt is raised again once the run that it ended is recorded as failed.

        Args:
            specs: The runs.

        Returns:
            Records of all runs, new and known, and problems without a record.

        Raises:
            UsageError: Before anything runs, for too many shots, a missing device or a budget below the backbone's
                own cost.
            StoreError: If no record could be written.
        """
        report = Report(self.store, self.reporter, self.trackers, self.rescue)

        def prepare() -> None:
            self.store.prepare()
            report.rescued.prepare()

        if self.executor is None:
            self._each_group(specs, report, self.devices, RunGroup.run, prepare)
        else:
            self._run_elsewhere(self.executor, specs, report, prepare)
        return report

    def _run_elsewhere(
        self, executor: Executor, specs: Iterable[RunSpec], report: Report, prepare: Callable[[], None]
    ) -> None:
        """Plan the runs here, and let an executor execute those that are not recorded."""
        shares_disk = executor.name == "local"
        partial = self.store.root.absolute() / PARTIAL if shares_disk and not self.force else None
        executor.start(UnitOptions(self.devices, self.isolate, self.data, partial, self.remeasure, trust=trusted()))
        try:
            device = KnownDevice.of(self.devices, *executor.device())
            runs, parts = list[PlannedRun](), dict[str, Parts]()

            def plan(group: RunGroup, together: Sequence[tuple[RunSpec, Episodes]]) -> None:
                runs.extend(pending := group.pending(together))
                problem = self.reporter.problem
                parts.update(parts_of_runs(group.data, group.backbone, pending, group.devices, problem))

            self._each_group(specs, report, device, plan, prepare)
            driver = Driver(executor, device.device_name(), report, self.force, self.remeasure)
            # Each record is new, known, or of no use to the task: none waits for another.
            driver.run(runs, list(report.records), parts)
        finally:
            executor.close()

    def plan(self, specs: Iterable[RunSpec]) -> tuple[list[PlanEntry], list[str]]:
        """The runs of ``run`` with their status, without encoding, running or writing anything.

        Args:
            specs: The runs.

        Returns:
            The runs with their status, and problems: tasks and backbones that cannot be loaded.

        Raises:
            UsageError: For too many shots or a missing device.
        """
        report, entries = Report(self.store, self.reporter), list[PlanEntry]()
        self._each_group(specs, report, self.devices, lambda group, together: entries.extend(group.plan(together)))
        return entries, report.problems

    def _each_group(
        self,
        specs: Iterable[RunSpec],
        report: Report,
        device: DeviceOptions,
        visit: Callable[[RunGroup, list[tuple[RunSpec, Episodes]]], None],
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        """Load tasks and backbones, draw episodes, and visit each group with its runs; what cannot load is reported."""
        # Runs that are the budget of others come first.
        specs = sorted(specs, key=lambda spec: (*spec.shared(), spec.match is not None))
        require_splittable(specs, device)
        for precision in {spec.precision for spec in specs}:
            device.with_precision(precision).device_name()
        prepare()
        loaded = self._load({spec.form() for spec in specs}, report)
        fitted = self._fitted([spec for spec in specs if spec.form() in loaded], loaded)
        # A search may end at the settings of another run, and shrunk numbers at its numbers: it would count twice.
        ready = list({spec.model_dump_json(): spec for spec in fitted}.values())
        # Episodes depend on the task and not on the method, so methods share them.
        sources = {episode_spec(spec): loaded[spec.form()] for spec in ready}
        draws = {draw: draw_episodes(data, draw) for draw, data in sources.items()}
        for line in warnings_of(
            [spec for spec in ready if spec.limit is None and refusal(spec) is None],
            {draw_key(spec): draws[episode_spec(spec)] for spec in ready},
        ):
            self.reporter.problem(line)
        if note := quick_look_note(ready):
            self.reporter.problem(note)
        self.reporter.plan(len(ready), TimeLeft(ready, report.shared_costs.expected_of))
        for (task, *_, name, precision), together in _by_first_score(ready, draws):
            self.reporter.preparing(f"{task}: loading {name}")
            self._load_ahead(name, len(ready))
            try:
                with without_collection():
                    backbone = registry.make_backbone(name)
                start_worker = partial(self.isolate, name, backbone)
                devices = device.with_precision(precision)
                group = RunGroup(
                    loaded[together[0].form()], backbone, start_worker, devices, self.force, report, self.remeasure
                )
                with garbage_collection_frozen():
                    visit(group, [(spec, draws[episode_spec(spec)]) for spec in together])
            except UsageError:
                raise
            except Exception as error:  # a backbone that cannot be loaded costs its own runs only
                report.problem(f"{task} on {name}: {one_line_error(error)}")

    def _load_ahead(self, name: str, n_runs: int) -> None:
        """Let the worker load its backbone while this process does, unless all runs may be recorded."""
        if self.isolate is fresh_processes and (self.force or len(self.store.paths()) < n_runs):
            ForkedWorker(partial(registry.load_backbone, name)).load_ahead()

    def _fitted(self, specs: Sequence[RunSpec], loaded: Mapping[Form, TaskData]) -> list[RunSpec]:
        """The runs with default numbers that fit the data of their tasks."""
        made = list[RunSpec]()
        for form, together in groupby(specs, key=RunSpec.form):
            fitted, line = self.defaults.fitted(list(together), loaded[form])
            made += [limited(spec, loaded[form]) for spec in fitted]
            if line:
                self.reporter.problem(f"{form[0]}: {line}")
        return made

    def _load(self, forms: set[Form], report: Report) -> dict[Form, TaskData]:
        """The data of each task in each form."""
        loaded = {}
        for form in sorted(forms, key=str):
            name = form[0]
            self.reporter.preparing(f"{name}: reading data")
            try:
                loaded[form] = data = registry.make_task(*form).load(self.data)
                for note in data.notes:
                    report.reporter.problem(f"{name}: {note}")
            except UsageError:
                raise
            except Exception as error:  # a task that cannot be read costs its own runs only
                report.problem(_of_task(name, one_line_error(error)))
        return loaded


def _by_first_score(
    specs: list[RunSpec], draws: Mapping[EpisodeSpec, Episodes]
) -> list[tuple[tuple[str, ...], list[RunSpec]]]:
    """Runs by what they share, the group with the fewest items of a run first: its score is the first that is shown."""
    groups = [(shared, list(together)) for shared, together in groupby(specs, key=RunSpec.shared)]
    sizes = {draw: n_items([episodes]) for draw, episodes in draws.items()} if len(groups) > 1 else {}
    return sorted(groups, key=lambda group: min(sizes.get(episode_spec(spec), 0) for spec in group[1]))


def _of_task(name: str, message: str) -> str:
    """A message with the name of its task before it, unless it begins with that name."""
    return message if message.startswith(f"{name} ") else f"{name}: {message}"
