"""``bench run``: run a suite, or a grid of options."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench import api
from bench.api.runs import MeasureIn
from bench.cli.options import DEFAULT_STORE, LISTED, DataOption, LoggerOption, StoreOption, TrustOption
from bench.cli.output import say, say_error


def run(
    suite: Annotated[
        str | None, typer.Argument(help="A suite's name or YAML file; or use --task and --method.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help=f"Tasks: {LISTED}.")] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(help="Columns of your own data by their names there: text=review,label=stars."),
    ] = None,
    splits: Annotated[
        list[str] | None,
        typer.Option(help="Support and query split of your own data: train,test; or one that is halved."),
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help=f"Methods: {LISTED}.")] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="Prompts: plain, or chat by the model's chat template; by default plain."),
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(
            help="Forms of the prompts: 0-2, all, or a text such as 'Review: {text} Mood:'; by default the task's own."
        ),
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="Backbone; by default the embedded one for the task.")] = None,
    shots: Annotated[
        list[str] | None, typer.Option(help="Labelled examples per class: 1,5,full; by default 1,5.")
    ] = None,
    seeds: Annotated[list[str] | None, typer.Option(help="Seeds: 0-4 or 0,2,7; by default 0.")] = None,
    episodes: Annotated[int | None, typer.Option(help="Episodes per seed; by default the task's own.")] = None,
    queries: Annotated[str | None, typer.Option(help="Queries per class, or 'all'; by default the task's own.")] = None,
    ways: Annotated[int | None, typer.Option(help="Classes per episode; by default all.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help=f"METHOD.FIELD=VALUE: {LISTED}.")] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(help=f"AXIS=LIMIT, such as adapt_seconds=2: {LISTED} (docs/budgets.md)."),
    ] = None,
    budget_grid: Annotated[
        list[str] | None, typer.Option(help=f"AXIS=LIMIT,LIMIT,...: all methods under each limit; {LISTED}.")
    ] = None,
    match: Annotated[
        str | None,
        typer.Option(help="METHOD[:AXIS,AXIS]: use this method's measured cost as the budget of all others."),
    ] = None,
    config: Annotated[
        list[Path] | None, typer.Option(help="best.yaml of a sweep: a method with its config; repeatable.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Published values of methods' fields, such as 'published'.")
    ] = None,
    tune_all: Annotated[
        int | None, typer.Option(min=1, help="Tune each method first, by this many trials on support data.")
    ] = None,
    tune_seconds: Annotated[
        float | None, typer.Option(help="Start no further trial of a method after this many seconds.")
    ] = None,
    accelerator: Annotated[str, typer.Option(help="Lightning accelerator.")] = "auto",
    devices: Annotated[int, typer.Option(help="Devices of a run: 1, or more with --strategy.")] = 1,
    strategy: Annotated[
        str | None,
        typer.Option(help="How several devices hold one language model: fsdp, deepspeed or device_map."),
    ] = None,
    executor: Annotated[
        str, typer.Option(help="Where runs are executed: local, or ray for a Ray cluster (docs/cluster.md).")
    ] = "local",
    jobs: Annotated[int, typer.Option(help="Processes of the local executor.")] = 1,
    address: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster; by default one is started on this machine.")
    ] = None,
    gpus_per_run: Annotated[float, typer.Option(help="GPUs of a run on a Ray cluster, or a share of one.")] = 0.0,
    shard: Annotated[
        str | None, typer.Option(help="I/N: only the I-th of N shares of the runs, for arrays of jobs.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="Lightning precision of the backbone; by default 32-true.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read and decode data.")] = 0,
    data: DataOption = None,
    store: StoreOption = DEFAULT_STORE,
    rescue: Annotated[
        Path | None,
        typer.Option(help="Folder for results that --store cannot keep; by default one among temporary files."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Run recorded runs again.")] = False,
    remeasure: Annotated[
        bool, typer.Option("--remeasure", help="Measure costs again that were measured in company; scores stay.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan without running anything.")] = False,
    measure_in: Annotated[
        MeasureIn,
        typer.Option(
            help="Measure costs in a fresh process per episode, or in this one: faster start, approximate memory."
        ),
    ] = "subprocess",
    trust: TrustOption = False,
    logger: LoggerOption = "wandb",
    log_predictions: Annotated[
        bool, typer.Option("--log-predictions", help="Send a table of predictions to W&B or trackio too.")
    ] = False,
) -> None:
    """Run a suite, or a grid of options, and print its table.

    Exit code 1 if a run failed or nothing was measured.
    """
    arguments = {name: value for name, value in locals().items() if name not in {"set_", "dry_run"}} | {"set": set_}
    if dry_run:
        planned = api.plan(**arguments)
        say(str(planned))
        if planned.problems:
            raise typer.Exit(1)
        return
    results = api.run(**arguments)
    if results.records:
        from rich.console import Console

        from bench.reports.tables import table

        Console(width=None if sys.stdout.isatty() else 240).print(table(results.rows()))
        if sequences := results.sequences():
            say(sequences)
    if not results.measured and (results.records or not results.problems):
        say_error("nothing was measured; the table has the reasons")
    if results.failed or results.problems or not results.measured:
        raise typer.Exit(1)
