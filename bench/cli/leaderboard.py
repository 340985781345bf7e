"""``bench leaderboard``: the records of a store as a table or a page."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench import api
from bench.api.results import Format
from bench.cli.options import DEFAULT_STORE, OnlyTasks, StoreOption
from bench.cli.output import say, say_error
from bench.contracts.errors import StoreError, UsageError
from bench.toolkit.durable import write_atomic
from bench.toolkit.files import user_path


def leaderboard(
    store: StoreOption = DEFAULT_STORE,
    format_: Annotated[Format, typer.Option("--format", help="Output format.")] = "table",
    out: Annotated[Path | None, typer.Option(help="File to write; standard output by default.")] = None,
    task: OnlyTasks = None,
    break_even: Annotated[
        str | None, typer.Option(help="Method: add the number of queries above which each other takes less time.")
    ] = None,
    wandb: Annotated[
        bool, typer.Option("--wandb", help="Log the table, plots and records to W&B too, offline without a key.")
    ] = False,
) -> None:
    """Print the leaderboard of a store."""
    from bench.reports.company import ratio_warning

    if format_ == "html" and out is None and sys.stdout.isatty():
        raise UsageError("an HTML page cannot be read in a terminal: --format html needs --out FILE, or a pipe")
    results = api.load(store).of_task(task or ())
    text = results.table(format_, break_even)
    if break_even and (warning := ratio_warning(results.rows(break_even))):
        say_error(f"warning: {warning}")
    if wandb:
        from bench.reports.wandb_board import log_leaderboard
        from bench.runs.trackers import WandbTracker

        tracker = WandbTracker(results.store)
        log_leaderboard(tracker, results.rows(break_even), results.table("html", break_even))
        say(tracker.hint() or "logged to W&B", err=True)
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        write_atomic(user_path(out), text)
    except OSError as error:
        raise StoreError(f"--out {out} cannot be written: {error.strerror}") from error
