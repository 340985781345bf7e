"""``bench run``: run a suite, or a grid of options."""

import shlex
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bench import api
from bench.cli import run_options as of_run
from bench.cli.options import (
    DEFAULT_STORE,
    AcceleratorOption,
    AddressOption,
    BackboneOption,
    DataOption,
    ExecutorOption,
    GpusOption,
    JobsOption,
    LoggerOption,
    PrecisionOption,
    PromptOption,
    RemeasureOption,
    StoreOption,
    TrustOption,
)
from bench.cli.output import say, say_error

if TYPE_CHECKING:
    from bench.reports.row import Row


def run(
    suite: of_run.SuiteArgument = None,
    task: of_run.TaskOption = None,
    method: of_run.MethodOption = None,
    backbone: BackboneOption = None,
    set_: of_run.SetOption = None,
    config: of_run.ConfigOption = None,
    preset: of_run.PresetOption = None,
    prompt: PromptOption = None,
    template: of_run.TemplateOption = None,
    columns: of_run.ColumnsOption = None,
    splits: of_run.SplitsOption = None,
    shots: of_run.ShotsOption = None,
    seeds: of_run.SeedsOption = None,
    episodes: of_run.EpisodesOption = None,
    queries: of_run.QueriesOption = None,
    ways: of_run.WaysOption = None,
    limit: of_run.LimitOption = None,
    budget: of_run.BudgetOption = None,
    budget_grid: of_run.BudgetGridOption = None,
    match: of_run.MatchOption = None,
    tune_all: of_run.TuneAllOption = None,
    tune_seconds: of_run.TuneSecondsOption = None,
    accelerator: AcceleratorOption = "auto",
    devices: of_run.DevicesOption = 1,
    strategy: of_run.StrategyOption = None,
    precision: PrecisionOption = None,
    executor: ExecutorOption = "local",
    jobs: JobsOption = 1,
    address: AddressOption = None,
    gpus_per_run: GpusOption = 0.0,
    shard: of_run.ShardOption = None,
    workers: of_run.WorkersOption = 0,
    measure_in: of_run.MeasureInOption = "subprocess",
    data: DataOption = None,
    store: StoreOption = DEFAULT_STORE,
    rescue: of_run.RescueOption = None,
    force: of_run.ForceOption = False,
    remeasure: RemeasureOption = False,
    dry_run: of_run.DryRunOption = False,
    logger: LoggerOption = "wandb",
    log_predictions: of_run.LogPredictionsOption = False,
    trust: TrustOption = False,
) -> None:
    """Run a suite, or a grid of options, and print its table.

    Recorded runs are not run again, and an interrupted command goes on. Lists take commas or repetition. Exit code 1
    if a run failed or nothing was measured.
    """
    arguments = {name: value for name, value in locals().items() if name not in {"set_", "dry_run"}} | {"set": set_}
    if dry_run:
        planned = api.plan(**arguments)
        say(str(planned))
        if planned.problems:
            raise typer.Exit(1)
        return
    results = api.run(**arguments)
    rows = _show(results)
    if not results.measured and (results.records or not results.problems):
        say_error("nothing was measured; the table has the reasons")
    if results.failed or results.problems or not results.measured:
        raise typer.Exit(1)
    say(f"next: {_next(rows, store)}", err=True)


def _show(results: "api.Results") -> "list[Row]":
    """Print the table of results and what it says; its rows."""
    rows = results.rows() if results.records else []
    if rows:
        from rich.console import Console

        from bench.reports.tables import table

        Console(width=None if sys.stdout.isatty() else 240, emoji=False).print(table(rows))
        for text in (results.sequences(), results.answer()):
            if text:
                say(text)
    return rows


def _next(rows: "Sequence[Row]", store: Path) -> str:
    """The commands that go on from results."""
    if any(row.limit for row in rows):
        return "the same command without --limit, for results that count"
    where = "" if store == DEFAULT_STORE else f" --store {shlex.quote(str(store))}"
    text = f"bench open{where} shows the page"
    plain = not any(row.budget or row.tuning_trials for row in rows)
    for row, other in pairwise(rows) if plain else ():
        if other.value is not None and _board(row) == _board(other):
            words = [row.method_text, other.method_text, "--task", row.task]
            return f"{text}, bench compare {shlex.join(words)}{where} tests the difference"
    return text


def _board(row: "Row") -> tuple[str, str, object]:
    return row.task, row.backbone, row.shots
