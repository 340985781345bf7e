"""``bench history``: results over time."""

from pathlib import Path
from typing import Annotated

import typer

from bench import api
from bench.api.timeline import HistoryFormat
from bench.cli.options import DEFAULT_STORE, OnlyTasks, StoreOption
from bench.cli.output import deliver, require_readable, say
from bench.reports.kinds import Only

app = typer.Typer(
    help="Results over time: states of a project in one file, and what changed between them (docs/history.md).",
    no_args_is_help=True,
    rich_markup_mode=None,
)

FileOption = Annotated[Path, typer.Option("--history", envvar="BENCH_HISTORY", help="Parquet file of the history.")]
DEFAULT_FILE = Path("history.parquet")


@app.command()
def add(
    history: FileOption = DEFAULT_FILE,
    store: StoreOption = DEFAULT_STORE,
    commit: Annotated[str | None, typer.Option(help="Commit of the state; by default that of its records.")] = None,
    date: Annotated[
        str | None, typer.Option(help="Time of the state in ISO 8601; by default that of the latest record.")
    ] = None,
    timings: Annotated[
        list[Path] | None, typer.Option(help="JSON with further durations, such as those of make perf; repeatable.")
    ] = None,
) -> None:
    """Append the records of a store to the history as one state."""
    new = api.add_to_history(history, store, commit=commit, date=date, timings=timings or ())
    say(f"the state of {store} was added to {history}" if new else f"{history} has the state of {store} already")


@app.command()
def show(
    history: FileOption = DEFAULT_FILE,
    task: OnlyTasks = None,
    only: Annotated[Only | None, typer.Option(help="Show scores or costs alone.")] = None,
    format_: Annotated[HistoryFormat, typer.Option("--format", help="Output format; html is the page.")] = "table",
    out: Annotated[Path | None, typer.Option(help="File to write; standard output by default.")] = None,
) -> None:
    """Show the changes of a history, with their commits, both levels and both sides' records."""
    require_readable(format_, out)
    deliver(api.history(history, task=task or (), only=only).table(format_), out)
