"""``bench run``: run a suite, or a grid given by options."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.options import DEFAULT_STORE, StoreOption
from bench.contracts.errors import UsageError
from bench.runs.signals import interrupts


class Isolated(StrEnum):
    """Where ``bench run`` measures costs."""

    FRESH = "fresh"
    SAME = "same"


class Logger(StrEnum):
    """Where records go beside the store."""

    WANDB = "wandb"
    TENSORBOARD = "tensorboard"
    CSV = "csv"
    MLFLOW = "mlflow"
    NONE = "none"


def run(
    suite: Annotated[
        str | None, typer.Argument(help="A suite's name or YAML file; or use --task and --method.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="Task; may be repeated.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Method; may be repeated.")] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="Prompts: plain, or chat by the model's chat template; by default plain."),
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="Backbone; by default the embedded one for the task.")] = None,
    shots: Annotated[str | None, typer.Option(help="Labelled examples per class: 1,5,full; by default 1,5.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds: 0-4 or 0,2,7; by default 0.")] = None,
    episodes: Annotated[int | None, typer.Option(help="Episodes per seed; by default the task's own.")] = None,
    queries: Annotated[str | None, typer.Option(help="Queries per class, or 'all'; by default the task's own.")] = None,
    ways: Annotated[int | None, typer.Option(help="Classes per episode; by default all.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="METHOD.FIELD=VALUE; may be repeated.")] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(help="AXIS=LIMIT, such as adapt_seconds=2; may be repeated (docs/budgets.md)."),
    ] = None,
    budget_grid: Annotated[
        list[str] | None, typer.Option(help="AXIS=LIMIT,LIMIT,...: all methods under each limit; may be repeated.")
    ] = None,
    match: Annotated[str | None, typer.Option(help="METHOD[:AXIS,AXIS]: what it costs is the others' budget.")] = None,
    config: Annotated[
        list[Path] | None, typer.Option(help="best.yaml of a sweep: a method with its config; may be repeated.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Values that somebody set by hand, such as 'published'.")] = None,
    tune_all: Annotated[
        int | None, typer.Option(min=1, help="Tune each method first, by so many trials on support data.")
    ] = None,
    tune_seconds: Annotated[float | None, typer.Option(help="Begin no trial of a method after so long.")] = None,
    accelerator: Annotated[str, typer.Option(help="Lightning accelerator.")] = "auto",
    devices: Annotated[int, typer.Option(help="Number of devices.")] = 1,
    precision: Annotated[
        str | None, typer.Option(help="Lightning precision of the backbone; by default 32-true.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read and decode data.")] = 0,
    data: Annotated[Path | None, typer.Option(envvar="BENCH_DATA", help="Folder of local data sets.")] = None,
    store: StoreOption = DEFAULT_STORE,
    force: Annotated[bool, typer.Option("--force", help="Run again what is recorded.")] = False,
    costs: Annotated[
        Isolated, typer.Option(help="Measure costs in fresh processes, or in this one: starts sooner, memory is rough.")
    ] = Isolated.FRESH,
    logger: Annotated[Logger, typer.Option(help="Tracker; W&B is offline without a key.")] = Logger.WANDB,
) -> None:
    """Run a suite, or a grid given by options, and print its table."""
    from bench.contracts.validation import validated
    from bench.spec.best_config import read_configs, with_configs
    from bench.spec.budget import parse_budget, parse_grid
    from bench.spec.suite import Block, Suite, load_suite, parse_seeds, parse_settings, parse_shots

    if suite is not None:
        grid = {
            "--task": task, "--method": method, "--backbone": backbone, "--shots": shots, "--seeds": seeds,
            "--episodes": episodes, "--queries": queries, "--ways": ways, "--set": set_, "--precision": precision,
            "--prompt": prompt, "--budget": budget, "--budget-grid": budget_grid, "--match": match, "--config": config,
        }  # fmt: skip
        given = [option for option, value in grid.items() if value]
        if given:
            raise UsageError(f"a suite says itself what is run: give either {suite!r} or {', '.join(given)}, not both")
        asked = load_suite(suite)
        if preset is not None:
            blocks = [block.model_copy(update={"preset": preset}) for block in asked.blocks]
            asked = asked.model_copy(update={"blocks": blocks})
    else:
        found = read_configs(config or [])
        method = list(dict.fromkeys([*(method or []), *found]))
        if not task or not method:
            raise UsageError("bench run needs a suite, or --task and --method; see 'bench list suites'")
        fields: dict[str, Any] = {
            "prompt": prompt,
            "backbone": backbone,
            "methods": method,
            "shots": None if shots is None else parse_shots(shots),
            "seeds": None if seeds is None else parse_seeds(seeds),
            "episodes": episodes,
            "queries": int(queries) if queries and queries.isdecimal() else queries,
            "ways": ways,
            "precision": precision,
            "set": with_configs(
                found, parse_settings(set_ or [], [*method, *([match.partition(":")[0]] if match else [])])
            ),
            "tuning": {name: best.tuning for name, best in found.items()},
            "preset": preset,
            "budget": parse_budget(budget or []).limits(),
            "budget_grid": parse_grid(budget_grid or []),
            "match": match,
        }
        chosen = {name: value for name, value in fields.items() if value is not None}
        blocks = [validated(Block, {"task": name, **chosen}, "bench run") for name in task]
        asked = Suite(name="command line", blocks=blocks)
    if tune_all is not None and any(block.tune_all for block in asked.blocks):
        raise UsageError(f"the suite {asked.name} says itself which of its blocks are tuned; leave --tune-all out")
    trials = [block.tune_all or tune_all or asked.tune_all for block in asked.blocks]
    if tune_seconds is not None and not any(trials):
        raise UsageError("--tune-seconds limits --tune-all N, which is missing")
    _run(asked, accelerator, devices, workers, data, store, force, costs, logger, trials, tune_seconds)


def _run(
    suite: Any,
    accelerator: str,
    devices: int,
    workers: int,
    data: Path | None,
    store: Path,
    force: bool,
    costs: Isolated,
    logger: Logger,
    trials: list[int | None],
    tune_seconds: float | None,
) -> None:
    if data is not None and not data.is_dir():
        raise UsageError(f"--data needs a folder, got {data}")
    from rich.console import Console

    from bench.runs.progress import RichReporter

    console = Console(stderr=True)
    with RichReporter(console) as reporter:
        # torch, transformers and Lightning take seconds to import; the bar is already there.
        from bench.engine.trainer import DeviceOptions, quiet_lightning
        from bench.reports.rows import rows
        from bench.reports.tables import table
        from bench.results.store import Store
        from bench.runs.runner import Runner, fresh_processes, same_process
        from bench.runs.trackers import LoggerTracker, Tracker, WandbTracker
        from bench.spec.expand import expand

        quiet_lightning()
        by_block = [expand(block) for block in suite.blocks]
        options = DeviceOptions(accelerator=accelerator, devices=devices, workers=workers)
        trackers: tuple[Tracker, ...] = ()
        if logger is Logger.WANDB:
            trackers = (WandbTracker(store, group=suite.name),)
        elif logger is not Logger.NONE:
            trackers = (LoggerTracker(store, logger.value, group=suite.name),)
        with interrupts():
            if any(trials):
                from sweeps.tuned import TuneAll

                tune = TuneAll(tune_seconds, data, options, store / "studies", reporter.problem)
                specs = tune([(spec, number) for block, number in zip(by_block, trials, strict=True) for spec in block])
            else:
                specs = [spec for block in by_block for spec in block]
            isolate = fresh_processes if costs is Isolated.FRESH else same_process
            report = Runner(Store(store), options, reporter, data, force, trackers, isolate).run(specs)
    out = Console(width=None if sys.stdout.isatty() else 240)
    if report.records:
        out.print(table(rows(report.records, report.store.predictions)))
    for hint in filter(None, (tracker.hint() for tracker in trackers)):
        console.print(hint, style="dim", soft_wrap=True, highlight=False)
    if report.failed:
        raise typer.Exit(1)
