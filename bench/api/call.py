"""One call of ``bench.run`` or ``bench.plan``: its arguments, checked, and its execution."""

import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from bench.api.execution import make_executor, require_alone, require_fitting, share_of
from bench.api.formats import MeasureIn
from bench.api.plan_table import Plan
from bench.api.results import Results
from bench.contracts.errors import UsageError, did_you_mean, shown
from bench.runs.trackers import make_trackers
from bench.spec.options import RunOptions, read_suite
from bench.spec.suite import Suite
from bench.toolkit.collection import without_collection
from bench.toolkit.extras import import_extra
from bench.toolkit.files import data_folder, user_path
from bench.toolkit.visible import visible

if TYPE_CHECKING:
    from bench.results.known_calls import KnownCall
    from bench.runs.fitting import Defaults
    from bench.runs.reporter import Reporter
    from bench.runs.runner import Runner
    from bench.runs.trackers.interface import LightningTracker
    from bench.spec.run_spec import RunSpec

MOST_WORKERS = 1024
DESCRIBE_RUNS = (*RunOptions.model_fields, "method")
"""Parameters of ``run`` that describe runs."""


@dataclass(frozen=True)
class Call:
    """The arguments of ``run`` with checked names; nothing heavy is imported yet.

    Attributes:
        suite: The runs.
        how: The arguments that do not describe runs, by name.
        data: Folder of local data sets.
        store: Folder of records.
        trackers: Trackers of new records.
    """

    suite: Suite
    how: Mapping[str, Any]
    data: Path | None
    store: Path
    trackers: "tuple[LightningTracker, ...]"

    @classmethod
    def read(cls, arguments: Mapping[str, Any], suite: Suite | None = None) -> "Call":
        """Check arguments.

        Args:
            arguments: The arguments of ``run`` by name.
            suite: Runs with checked names, in place of those that the arguments describe.

        Returns:
            The checked call.

        Raises:
            UsageError: For a wrong name, value or combination.
        """
        if suite is None:
            described = {name: arguments[name] for name in DESCRIBE_RUNS if name in arguments}
            suite = read_suite(arguments["suite"], described)
        how = {name: value for name, value in arguments.items() if name not in {*DESCRIBE_RUNS, "suite"}}
        if how["tune_seconds"] is not None and not any(block.tune_all for block in suite.blocks):
            raise UsageError("tune_seconds limits the tuning of tune_all, which is missing")
        if how["tune_seconds"] is not None and not 0 < how["tune_seconds"] < math.inf:
            raise UsageError(f"tune_seconds needs a number of seconds above 0, got {how['tune_seconds']}")
        if not 0 <= how["workers"] <= MOST_WORKERS:
            raise UsageError(f"workers needs a number from 0 to {MOST_WORKERS}, got {shown(how['workers'])}")
        if how["measure_in"] not in (places := get_args(MeasureIn)):
            raise did_you_mean("value", str(how["measure_in"]), places, "of measure_in")
        require_fitting(how)
        require_alone(how, tunes=any(block.tune_all for block in suite.blocks))
        data, store = data_folder(how["data"]), user_path(how["store"])
        return cls(suite, how, data, store, make_trackers(how["logger"], store, suite.name, how["log_predictions"]))

    def run(self) -> Results:
        """Execute the runs."""
        from bench.engine.early_server import early_server
        from bench.runs.progress import RichReporter, error_console
        from bench.runs.signals import interrupts

        measures = self.how["measure_in"] == "subprocess" and (self.how["executor"], self.how["jobs"]) == ("local", 1)
        console = error_console(self.how["progress"])
        with RichReporter(console) as reporter:
            with without_collection():
                call = self._known()
                recorded = None if call is None else call.records()
            if recorded is not None:
                for record in recorded:
                    reporter.known(record)
                return Results(recorded, self.store)
            with interrupts(), early_server(measures):
                # torch, transformers and Lightning take seconds to import.
                reporter.preparing("loading libraries")
                with without_collection():
                    specs, defaults = self._specs()
                    runner = self._runner(reporter, defaults)
                report = runner.run(self._tuned(specs, runner))
        if call is not None and not report.problems and len(report.records) == len(specs):
            call.keep(report.records)
        for hint in filter(None, (tracker.hint() for tracker in self.trackers)):
            console.print(visible(hint), style="dim", soft_wrap=True, highlight=False, markup=False)
        rescued = {record.id: predictions for record, predictions in report.rescued.results}
        return Results(report.records, self.store, report.problems, rescued)

    def plan(self) -> Plan:
        """Plan the runs."""
        from bench.runs.progress import RichReporter, error_console

        with RichReporter(error_console(self.how["progress"]), log=False) as reporter:
            specs, defaults = self._specs()
            entries, problems = self._runner(reporter, defaults).plan([spec for spec, _ in specs])
        # A method without a support set has nothing to tune.
        return Plan(entries, problems, sum(trials is not None and spec.shots != 0 for spec, trials in specs))

    def _known(self) -> "KnownCall | None":
        """This call, where its runs need not be planned to know their ids."""
        from bench.results.known_calls import KnownCall
        from bench.results.store import Store

        if self.data is not None or self.how["force"] or self.how["remeasure"] or self.how["shard"]:
            return None
        return KnownCall.of(
            self.suite, Store(self.store), {name: self.how[name] for name in ("accelerator", "devices", "strategy")}
        )

    def _runner(self, reporter: "Reporter", defaults: "Defaults") -> "Runner":
        from bench.engine.trainer import DeviceOptions, quiet_lightning
        from bench.results.store import Store
        from bench.runs import runner

        quiet_lightning()
        options = DeviceOptions(
            accelerator=self.how["accelerator"], devices=self.how["devices"], workers=self.how["workers"],
            strategy=self.how["strategy"],
        )  # fmt: skip
        isolate = runner.fresh_processes if self.how["measure_in"] == "subprocess" else runner.same_process
        if options.strategy is not None:
            isolate = partial(runner.fresh_processes, devices=options)
        return runner.Runner(
            Store(self.store), options, reporter, self.data, self.how["force"], self.trackers, isolate,
            self.how["remeasure"], None if self.how["rescue"] is None else user_path(self.how["rescue"]),
            make_executor(self.how), defaults,
        )  # fmt: skip

    def _specs(self) -> "tuple[list[tuple[RunSpec, int | None]], Defaults]":
        """Each run of the blocks once, with the number of trials of its tuning, and those whose numbers may shrink."""
        from bench.runs.fitting import Defaults
        from bench.spec.expand import expand

        runs = [(block, spec) for block in self.suite.blocks for spec in expand(block)]
        # A run that two blocks have would count twice in its row.
        once = {(spec.model_dump_json(), block.tune_all): (spec, block.tune_all) for block, spec in runs}
        specs = list(once.values())
        return specs if self.how["shard"] is None else share_of(specs, self.how["shard"]), Defaults.of(runs)

    def _tuned(self, specs: "list[tuple[RunSpec, int | None]]", runner: "Runner") -> "list[RunSpec]":
        """The runs, tuned where the suite has a number of trials."""
        if not any(trials for _, trials in specs):
            return [spec for spec, _ in specs]
        import_extra("optuna")
        from sweeps.tuned import TuneAll

        report, executor = runner.reporter.problem, make_executor(self.how)
        with ExitStack() as stack:
            if executor is not None:
                stack.callback(executor.close)
            tuner = TuneAll(
                self.how["tune_seconds"], self.data, runner.devices, self.store / "studies", report, executor
            )
            return tuner(specs)
