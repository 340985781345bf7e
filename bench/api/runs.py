"""Running suites and grids of runs, and planning them."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import signature
from os import PathLike
from typing import Any, ParamSpec, TypeVar

from bench.api.call import Call
from bench.api.formats import MeasureIn
from bench.api.plan_table import Plan
from bench.api.results import Results
from bench.api.signatures import long_signature
from bench.toolkit.trust import trusting

P = ParamSpec("P")
T = TypeVar("T")


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
