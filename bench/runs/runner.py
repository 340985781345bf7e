"""Runs in, records out: task -> episodes -> features -> method -> metrics -> record."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from bench import registry
from bench.contracts import Backbone, TaskData, UsageError
from bench.costs.worker import ForkedWorker, InlineWorker, Worker
from bench.data.episodes import draw_episodes, episode_spec
from bench.engine.trainer import DeviceOptions
from bench.meters.memory import garbage_collection_frozen
from bench.results.store import Store
from bench.runs.group import Group
from bench.runs.report import Report, Reporter, told
from bench.runs.trackers import Tracker
from bench.spec.suite import RunSpec


def fresh_processes(name: str, backbone: Backbone) -> Worker:
    """Measure in fresh processes that load the backbone anew by its name; loading starts at once."""
    return ForkedWorker(partial(registry.make_backbone, name)).start()


def same_process(name: str, backbone: Backbone) -> Worker:
    """Measure right here: for tests, whose stand-ins another process would not know, and where seconds count."""
    return InlineWorker(backbone)


@dataclass(frozen=True)
class Runner:
    """Runs specs against a store.

    data: folder of local data sets, None for each task's own source. force: run again what is recorded.
    trackers: told of every run that is made; what they raise is reported and harms nothing.
    isolate: where costs are measured, from a backbone's name and the backbone that scores are made with.
    """

    store: Store
    devices: DeviceOptions
    reporter: Reporter
    data: Path | None = None
    force: bool = False
    trackers: tuple[Tracker, ...] = ()
    isolate: Callable[[str, Backbone], Worker] = fresh_processes

    def run(self, specs: Iterable[RunSpec]) -> Report:
        """Run what is not recorded yet.

        Raises UsageError, before anything is run, if a spec cannot be: too many shots, no such device, a budget below
        the backbone's own cost; and StoreError if no record could be written. An interrupt is passed on once the run
        that it ended is recorded as failed.
        """
        report = Report(self.store, self.reporter, self.trackers)
        # What others are matched to comes before them.
        specs = sorted(specs, key=lambda spec: (*spec.shared(), spec.match is not None))
        for precision in {spec.precision for spec in specs}:
            self.devices.with_precision(precision).device_name()
        self.store.prepare()
        loaded = self._load({spec.task for spec in specs}, report)
        ready = [spec for spec in specs if spec.task in loaded]
        # Methods share draws: the episodes are a matter of the task, not of who answers them.
        draws = {draw: draw_episodes(loaded[draw.task], draw) for draw in {episode_spec(spec) for spec in ready}}
        self.reporter.plan(len(ready))
        for (task, name, _), together in groupby(ready, key=RunSpec.shared):
            try:
                made = registry.make_backbone(name)
                group = Group(
                    loaded[task], made, partial(self.isolate, name, made), self.devices, self.force, report
                )  # fmt: skip
                with garbage_collection_frozen():
                    group.run([(spec, draws[episode_spec(spec)]) for spec in together])
            except UsageError:
                raise
            except Exception as error:  # a backbone that cannot be made costs its own runs only
                report.problem(f"{task} on {name}: {told(error)}")
        return report

    def _load(self, tasks: set[str], report: Report) -> dict[str, TaskData]:
        loaded = {}
        for name in sorted(tasks):
            try:
                loaded[name] = registry.task_class(name)().load(self.data)
            except UsageError:
                raise
            except Exception as error:  # a task that cannot be read costs its own runs only
                report.problem(f"{name}: {told(error)}")
        return loaded
