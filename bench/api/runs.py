"""Running suites and grids of runs, and planning them."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial, wraps
from inspect import signature
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from bench.api.execution import make_executor, require_alone, require_fitting, share_of
from bench.api.formats import MeasureIn
from bench.api.plan_table import Plan
from bench.api.results import Results
from bench.api.signatures import long_signature
from bench.contracts.errors import UsageError, did_you_mean, shown
from bench.runs.trackers import make_trackers
from bench.runs.trackers.interface import LightningTracker
from bench.spec.options import RunOptions, read_suite
from bench.spec.suite import RunSpec, Suite
from bench.toolkit.extras import import_extra
from bench.toolkit.files import data_folder, user_path
from bench.toolkit.trust import trusting
from bench.toolkit.visible import visible

if TYPE_CHECKING:
    from bench.results.known_calls import KnownCall
    from bench.runs.fitting import Defaults
    from bench.runs.reporter import Reporter
    from bench.runs.runner import Runner

P = ParamSpec("P")
T = TypeVar("T")
MOST_WORKERS = 1024
DESCRIBE_RUNS = (*RunOptions.model_fields, "method")
"""Parameters of ``run`` that describe runs."""


@long_signature
def run(
    suite: str | PathLike[str] | None = None,
    *,
    task: str | Sequence[str] | None = None,
    columns: Mapping[str, str] | str | Sequence[str] | None = None,
    splits: str | Sequence[str] | None = None,
    method: str | Sequence[str] | None = None,
    methods: str | Sequence[str] | None = None,
    prompt: str | None = None,
    template: int | str | Sequence[int | str] | None = None,
    backbone: str | None = None,
    shots: int | str | Sequence[int | str] | None = None,
    seeds: int | str | Sequence[int | str] | None = None,
    episodes: int | None = None,
    queries: int | str | None = None,
    ways: int | None = None,
    limit: int | None = None,
    set: Mapping[str, Mapping[str, Any]] | str | Sequence[str] | None = None,
    budget: Mapping[str, float] | str | Sequence[str] | None = None,
    budget_grid: Mapping[str, Sequence[float]] | str | Sequence[str] | None = None,
    match: str | None = None,
    config: str | PathLike[str] | Sequence[str | PathLike[str]] | None = None,
    preset: str | None = None,
    precision: str | None = None,
    tune_all: int | None = None,
    tune_seconds: float | None = None,
    accelerator: str = "auto",
    devices: int = 1,
    strategy: str | None = None,
    executor: str = "local",
    jobs: int = 1,
    address: str | None = None,
    gpus_per_run: float = 0.0,
    shard: str | None = None,
    workers: int = 0,
    data: str | PathLike[str] | None = None,
    store: str | PathLike[str] = "runs",
    rescue: str | PathLike[str] | None = None,
    force: bool = False,
    remeasure: bool = False,
    measure_in: MeasureIn = "subprocess",
    trust: bool = False,
    logger: str = "wandb",
    log_predictions: bool = False,
    progress: bool = True,
) -> Results:
    """Run a suite, or all combinations of tasks, methods, shots and seeds, and keep one record of each run.

    Recorded runs are not run again. A run that fails is a record with the reason, and ends no other run.
    Lists may also be text with commas, as on the command line: ``methods="faast,knn"``, ``shots="1,5,full"``.

    Args:
        suite: Name or YAML file of a suite, in place of ``task``, ``method`` and the other options that describe runs.
        task: Names of tasks; ``bench list tasks``.
        columns: Columns that a task of your own data reads, with their names there, such as
            ``{"text": "review", "label": "stars"}`` or ``"text=review,label=stars"``.
        splits: Names of the support and of the query split of your own data, such as ``["train", "test"]``; or of one
            split that is halved.
        method: Names of methods; ``bench list methods``.
        methods: The same as ``method``.
        prompt: Prompts: "plain", or "chat" by the model's chat template; by default "plain".
        template: Forms of the prompts, such as ``[0, 1]``, ``"0-2"``, ``"all"`` or ``"Review: {text} Mood:"``; by
            default 0, the task's own.
        backbone: Name of the frozen backbone; by default the embedded one for the kind of task.
        shots: Labelled examples per class, such as ``[1, 5]`` or ``"1,5,full"``; by default 1 and 5.
        seeds: Seeds, such as ``range(3)``, ``[0, 7]`` or ``"0-4"``; by default 0.
        episodes: Episodes per seed; by default the task's own number.
        queries: Queries per class, or "all"; by default the task's own number.
        ways: Classes per episode; by default all, or the task's own number.
        limit: Most queries of a run, for a quick look: fewer episodes and queries, and costs that are measured once.
            Its records are marked, are never mixed with those of whole runs, and count for no check, history or claim.
        set: Fields of methods, such as ``{"faast": {"alpha": 1.0}}`` or ``["faast.alpha=1.0"]``.
        budget: Limits by axis, such as ``{"adapt_seconds": 2}`` or ``"adapt_seconds=2"``; docs/budgets.md lists the
            axes.
        budget_grid: Several limits by axis; all methods run under each of them.
        match: ``METHOD`` or ``METHOD:AXIS,AXIS``: use this method's measured cost as the budget of all others.
        config: Files ``best.yaml`` that a sweep wrote; each is a method with its config, which is run beside the same
            method with its defaults, unless ``match``, ``preset`` or ``tune_all`` is given.
        preset: Name of a set of published values for methods' fields, such as "published".
        precision: Lightning precision of the backbone; by default "32-true".
        tune_all: Trials, on support data, that each method is tuned by first.
        tune_seconds: Start no further trial of a method after this many seconds.
        accelerator: Lightning accelerator.
        devices: Number of devices of a run: 1, or more with a strategy.
        strategy: How several devices hold a language model that does not fit one: "fsdp", "deepspeed" or "device_map"
            (docs/cluster.md).
        executor: Where runs are executed: "local" on this machine, "ray" on a Ray cluster (docs/cluster.md).
        jobs: Processes of the local executor, which execute one run each at a time.
        address: Address of a Ray cluster; by default one is started on this machine.
        gpus_per_run: GPUs of a run on a Ray cluster, or a share of one.
        shard: ``I/N``: execute only the I-th of N shares of the runs, for arrays of jobs without an executor.
        workers: Processes that read and decode data.
        data: Folder of local data sets; by default each task's own source.
        store: Folder of records; it is created.
        rescue: Folder of a second store, for results that ``store`` cannot keep because it became full or read-only; by
            default a new one among the system's temporary files.
        force: Run recorded runs again.
        remeasure: Measure again the recorded costs that were measured in company (docs/budgets.md); scores and
            predictions stay.
        measure_in: Where costs are measured: in "subprocess" each episode has a fresh process; "inline" starts sooner,
            and its memory is approximate.
        trust: Load weights from files that run code when they are loaded, such as TorchScript archives.
        logger: Tracker beside the store: "wandb", "tensorboard", "csv", "mlflow", "trackio" or "none"; W&B is offline
            without a key.
        log_predictions: Send a table of each run's predictions to the tracker too, the first 10,000 queries;
            "wandb" and "trackio" have tables.
        progress: Show progress and problems on standard error.

    Returns:
        Records of all runs, new ones and those recorded earlier; a notebook shows the leaderboard.

    Raises:
        UsageError: Before anything runs, for a wrong name, value or combination, a missing device, or a budget that no
            method can keep.
        StoreError: If no record can be written.

    Example:
        >>> import bench
        >>> results = bench.run(task="digits", methods=["faast", "knn"], shots=[1, 5], seeds=range(3))  # doctest: +SKIP
        >>> results.frame()[["method", "shots", "value", "adapt_seconds"]]  # doctest: +SKIP
        >>> results.compare("faast", "knn")  # doctest: +SKIP
        >>> results.page("board.html")  # doctest: +SKIP
    """
    call = Call.read(locals())
    with trusting(trust):
        return call.run()


def _same_parameters(model: Callable[P, Any]) -> Callable[[Callable[[Mapping[str, Any]], T]], Callable[P, T]]:
    """Give a function of one mapping the parameters of ``model``."""

    def decorate(function: Callable[[Mapping[str, Any]], T]) -> Callable[P, T]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            arguments = signature(model).bind(*args, **kwargs)
            arguments.apply_defaults()
            return function(arguments.arguments)

        returned = signature(function).return_annotation
        call.__signature__ = signature(model).replace(return_annotation=returned)  # type: ignore[attr-defined]
        return call

    return decorate


@_same_parameters(run)
def plan(arguments: Mapping[str, Any]) -> Plan:
    """List the runs of ``bench.run`` with the same arguments, without running anything.

    Tasks and backbones are loaded, because a run's identity includes their revisions; nothing is encoded or written.

    Args:
        arguments: The arguments of ``run``, under the same names.

    Returns:
        All runs, each with its status: recorded, to run, or skipped with the reason. Trials of ``tune_all`` are not
        among them; the summary has the number of runs that are tuned first.

    Raises:
        UsageError: As for ``run``.

    Example:
        >>> bench.plan("quickstart")  # doctest: +SKIP
    """
    with trusting(arguments["trust"]):
        return Call.read(arguments).plan()


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
    trackers: tuple[LightningTracker, ...]

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
        if how["measure_in"] not in (places := ("subprocess", "inline")):
            raise did_you_mean("value", str(how["measure_in"]), places, "of measure_in")
        require_fitting(how)
        require_alone(how, tunes=any(block.tune_all for block in suite.blocks))
        data, store = data_folder(how["data"]), user_path(how["store"])
        return cls(suite, how, data, store, make_trackers(how["logger"], store, suite.name, how["log_predictions"]))

    def run(self) -> Results:
        """Execute the runs."""
        from rich.console import Console

        from bench.runs.progress import RichReporter
        from bench.runs.signals import interrupts

        console = Console(stderr=True, quiet=not self.how["progress"])
        with RichReporter(console) as reporter:
            call = self._known()
            if call is not None and (recorded := call.records()) is not None:
                for record in recorded:
                    reporter.known(record)
                return Results(recorded, self.store)
            with interrupts():
                # torch, transformers and Lightning take seconds to import.
                reporter.preparing("loading libraries")
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
        from rich.console import Console

        from bench.runs.progress import RichReporter

        with RichReporter(Console(stderr=True, quiet=not self.how["progress"]), log=False) as reporter:
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
            isolate = partial(runner.several_devices, options)
        return runner.Runner(
            Store(self.store), options, reporter, self.data, self.how["force"], self.trackers, isolate,
            self.how["remeasure"], None if self.how["rescue"] is None else user_path(self.how["rescue"]),
            make_executor(self.how), defaults,
        )  # fmt: skip

    def _specs(self) -> tuple[list[tuple[RunSpec, int | None]], "Defaults"]:
        """The runs of all blocks, each with the number of trials of its tuning, and those whose numbers may shrink."""
        from bench.runs.fitting import Defaults
        from bench.spec.expand import expand

        runs = [(block, spec) for block in self.suite.blocks for spec in expand(block)]
        specs = [(spec, block.tune_all) for block, spec in runs]
        return specs if self.how["shard"] is None else share_of(specs, self.how["shard"]), Defaults.of(runs)

    def _tuned(self, specs: list[tuple[RunSpec, int | None]], runner: "Runner") -> list[RunSpec]:
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
