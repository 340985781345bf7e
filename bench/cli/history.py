"""``bench history``: results over time."""

from pathlib import Path
from typing import Annotated

import typer

from bench import api
from bench.api.formats import HistoryFormat
from bench.cli.help import Command, Group
from bench.cli.options import DEFAULT_STORE, FORMAT, OnlyTasks, OutOption, StoreOption, option
from bench.cli.output import deliver, require_readable, say
from bench.reports.kinds import Only

app = typer.Typer(
    cls=Group,
    help="Add states of a project to its history, or show changes.\n\nAll states are in one file (docs/history.md).",
    no_args_is_help=True,
    rich_markup_mode=None,
)

FileOption = Annotated[
    Path, option("--history", metavar="FILE", envvar="BENCH_HISTORY", help="Parquet file of the history.")
]
DEFAULT_FILE = Path("history.parquet")


@app.command(cls=Command, epilog="bench history add --commit HEAD")
def add(
    history: FileOption = DEFAULT_FILE,
    store: StoreOption = DEFAULT_STORE,
    commit: Annotated[
        str | None, option("--commit", metavar="HASH", default="that of its records", help="Commit of the state.")
    ] = None,
    date: Annotated[
        str | None,
        option("--date", metavar="TIME", default="that of the latest record", help="Time of the state in ISO 8601."),
    ] = None,
    timings: Annotated[
        list[Path] | None,
        option("--timings", metavar="FILE", help="JSON with further durations, as make perf writes."),
    ] = None,
) -> None:
    """Append the records of a store to the history as one state."""
    new = api.add_to_history(history, store, commit=commit, date=date, timings=timings or ())
    say(f"the state of {store} was added to {history}" if new else f"{history} has the state of {store} already")


@app.command(cls=Command, epilog="bench history show --only scores")
def show(
    history: FileOption = DEFAULT_FILE,
    task: OnlyTasks = None,
    only: Annotated[Only | None, option("--only", default="both", help="Show scores or costs alone.")] = None,
    format_: Annotated[HistoryFormat, FORMAT] = "table",
    out: OutOption = None,
) -> None:
    """Show the changes of a history.

    Each with its commits, both levels and both sides' records; the form html is a page of lines.
    """
    require_readable(format_, out)
    deliver(api.history(history, task=task or (), only=only).table(format_), out)
