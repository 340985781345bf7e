"""The command line. Nothing heavy is imported before a command needs it: ``--help`` answers at once."""

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import plugins
from bench.comparing.command import compare
from bench.errors import BenchError, StoreError, UsageError
from bench.gate.command import check
from bench.interrupts import Interrupted, interrupts
from bench.keeping import command as keeping
from bench.readouts import command as readouts
from bench.scaffold import command as scaffold
from bench.testing import command as testing
from sweeps import command as sweeps

app = typer.Typer(
    help="Compare ways of adapting a frozen pretrained model under matched budgets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help and one-line errors; rich alone would take a third of the time that --help has.
    rich_markup_mode=None,
)
app.add_typer(readouts.app, name="readout")
app.add_typer(keeping.app, name="records")
app.command()(compare)
app.command()(check)
app.command("sweep")(sweeps.sweep)
app.command("test")(testing.test)
app.add_typer(scaffold.app, name="new")

StoreOption = Annotated[Path, typer.Option("--store", envvar="BENCH_STORE", help="Folder of records.")]
DEFAULT_STORE = Path("runs")


class Listed(StrEnum):
    """What ``bench list`` lists."""

    METHODS = "methods"
    TASKS = "tasks"
    BACKBONES = "backbones"
    SUITES = "suites"


class Format(StrEnum):
    """What ``bench leaderboard`` can print."""

    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"
    HTML = "html"


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


def _summary(plugin: plugins.Plugin) -> str:
    try:
        return plugin.summary()
    except UsageError as error:  # one broken package hides no other plugin
        return f"cannot be used: {error}"


@app.command("list")
def list_(
    what: Annotated[Listed, typer.Argument(help="What to list.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List methods, tasks, backbones or suites."""
    if what is Listed.SUITES:
        from bench.spec import load_suite, suite_paths

        entries = [{"name": name, "summary": load_suite(name).description, "origin": "bench"} for name in suite_paths()]
    else:
        found = plugins.find(what.value)
        entries = [
            {"name": name, "summary": _summary(plugin), "origin": plugin.origin} for name, plugin in found.items()
        ]
    if as_json:
        typer.echo(json.dumps(entries, indent=1))
        return
    width = max((len(entry["name"]) for entry in entries), default=0)
    for entry in entries:
        origin = "" if entry["origin"] == "bench" else f" ({entry['origin']})"
        typer.echo(f"{entry['name']:<{width}}  {entry['summary']}{origin}")


@app.command()
def run(
    suite: Annotated[
        str | None, typer.Argument(help="A suite's name or YAML file; or use --task and --method.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="Task; may be repeated.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Method; may be repeated.")] = None,
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
    from bench.budget import parse_budget, parse_grid
    from bench.configs import read_configs, with_configs
    from bench.spec import Block, Suite, load_suite, parse_seeds, parse_settings, parse_shots, validated

    if suite is not None:
        grid = {
            "--task": task, "--method": method, "--backbone": backbone, "--shots": shots, "--seeds": seeds,
            "--episodes": episodes, "--queries": queries, "--ways": ways, "--set": set_, "--precision": precision,
            "--budget": budget, "--budget-grid": budget_grid, "--match": match, "--config": config,
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
            "backbone": backbone,
            "methods": method,
            "shots": None if shots is None else parse_shots(shots),
            "seeds": None if seeds is None else parse_seeds(seeds),
            "n_episodes": episodes,
            "n_query": int(queries) if queries and queries.isdecimal() else queries,
            "n_way": ways,
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
    if tune_all is None:
        trials = [block.tune_all or asked.tune_all for block in asked.blocks]
    else:
        trials = [tune_all for _ in asked.blocks]
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

    from bench.progress import RichReporter

    console = Console(stderr=True)
    with RichReporter(console) as reporter:
        # torch, transformers and Lightning take seconds to import; the bar is already there.
        from bench.devices import DeviceOptions, quiet_lightning
        from bench.leaderboard.formats import table
        from bench.leaderboard.rows import rows
        from bench.planning import expand
        from bench.records import Store
        from bench.runner import Runner, fresh_processes, same_process
        from bench.tracking import LoggerTracker, Tracker, WandbTracker

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
                by_block = [tune(specs, number) for specs, number in zip(by_block, trials, strict=True)]
            specs = [spec for block in by_block for spec in block]
            isolate = fresh_processes if costs is Isolated.FRESH else same_process
            report = Runner(Store(store), options, reporter, data, force, trackers, isolate).run(specs)
    out = Console(width=None if sys.stdout.isatty() else 240)
    if report.records:
        out.print(table(rows(report.records, report.store.outcomes)))
    for hint in filter(None, (tracker.hint() for tracker in trackers)):
        console.print(hint, style="dim", soft_wrap=True, highlight=False)
    if report.failed:
        raise typer.Exit(1)


@app.command()
def leaderboard(
    store: StoreOption = DEFAULT_STORE,
    format_: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.TABLE,
    out: Annotated[Path | None, typer.Option(help="File to write; standard output by default.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task; may be repeated.")] = None,
    break_even: Annotated[
        str | None, typer.Option(help="Method: after how many queries does each other cost less time than it?")
    ] = None,
    wandb: Annotated[
        bool, typer.Option("--wandb", help="Log the table, plots and records to W&B too, offline without a key.")
    ] = False,
) -> None:
    """Print the leaderboard of a store."""
    if format_ is Format.HTML and out is None and sys.stdout.isatty():
        raise UsageError("a page is no reading for a terminal: --format html needs --out FILE, or a pipe")
    from bench.leaderboard.formats import FORMATS
    from bench.leaderboard.rows import against, rows
    from bench.records import Store

    records = list(Store(store))
    known = {record.spec.task for record in records}
    for name in task or ():
        if name not in known:
            raise plugins.did_you_mean("the store's tasks", name, known)
    chosen = [record for record in records if not task or record.spec.task in task]
    shown = rows(chosen, Store(store).outcomes)
    if break_even is not None:
        if break_even not in {row.method for row in shown}:
            raise plugins.did_you_mean("the store's methods", break_even, {row.method for row in shown})
        shown = against(shown, break_even)
    if format_ is Format.HTML or wandb:
        from bench.leaderboard.page import page

        whole = page(shown, chosen)
    text = whole if format_ is Format.HTML else FORMATS[format_](shown)
    if wandb:
        from bench.tracking import WandbTracker

        tracker = WandbTracker(store)
        tracker.log_leaderboard(shown, whole)
        typer.echo(tracker.hint() or "logged to W&B", err=True)
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"--out {out} cannot be written: {error.strerror}") from error


@app.command()
def doctor(
    accelerator: Annotated[str, typer.Option(help="Lightning accelerator.")] = "auto",
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Test the meters of time, memory and operations on known loads, and the folders that runs write to."""
    from rich.console import Console

    from bench.devices import DeviceOptions, quiet_lightning
    from bench.doctor import findings, folders

    quiet_lightning()
    options = DeviceOptions(accelerator=accelerator)
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(f"device: {options.device_name()}")
    sound = True
    for name, folder, trouble in folders(store):
        sound &= not trouble
        console.print(f"{'wrong' if trouble else 'ok':<6} {name}: {folder} {trouble}".rstrip(), soft_wrap=True)
    for one in findings(options):
        sound &= one.sound
        told = (
            f"expected {one.expected:.4g} {one.unit}, measured {one.measured:.4g}, off by {one.tolerance:.0%} at most"
        )
        console.print(f"{'ok' if one.sound else 'wrong':<6} {one.what}: {told}")
    if not sound:
        raise typer.Exit(1)


def main() -> None:
    """Entry point: one line for what a user can mend, exit code 2 for usage and 1 for failures."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Threads that spin long while they wait slow down a busy machine; those that never do, an idle one.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    try:
        app()
    except Interrupted as error:
        typer.echo(f"bench: ended by {error}; what was finished is recorded, the same command goes on", err=True)
        sys.exit(128 + error.number)
    except UsageError as error:
        typer.echo(f"bench: {error}", err=True)
        sys.exit(2)
    except BenchError as error:
        typer.echo(f"bench: {error}", err=True)
        sys.exit(1)
