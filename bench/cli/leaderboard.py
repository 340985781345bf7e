"""``bench leaderboard``: the records of a store as a table or a page."""

from pathlib import Path
from typing import Annotated

import typer

from bench import api
from bench.api.results import Format
from bench.cli.options import DEFAULT_STORE, OnlyTasks, StoreOption
from bench.cli.output import deliver, require_readable, say, say_error


def leaderboard(
    store: StoreOption = DEFAULT_STORE,
    format_: Annotated[Format, typer.Option("--format", help="Output format.")] = "table",
    out: Annotated[Path | None, typer.Option(help="File to write; standard output by default.")] = None,
    task: OnlyTasks = None,
    break_even: Annotated[
        str | None, typer.Option(help="Method: add the number of queries above which each other takes less time.")
    ] = None,
    claims: Annotated[
        str | None, typer.Option(help="Claims for a section of the page: bench claims lists them.")
    ] = None,
    wandb: Annotated[
        bool, typer.Option("--wandb", help="Log the table, plots and records to W&B too, offline without a key.")
    ] = False,
) -> None:
    """Print the leaderboard of a store."""
    from bench.reports.company import ratio_warning

    require_readable(format_, out)
    results = api.load(store).of_task(task or ())
    text = results.table(format_, break_even, claims)
    if format_ in ("table", "markdown") and (sequences := results.sequences(format_)):
        text += "\n" + sequences
    if break_even and (warning := ratio_warning(results.rows(break_even))):
        say_error(f"warning: {warning}")
    if wandb:
        from bench.reports.wandb_board import log_leaderboard
        from bench.runs.trackers import WandbTracker

        tracker = WandbTracker(results.store)
        log_leaderboard(tracker, results.rows(break_even), results.table("html", break_even, claims))
        say(tracker.hint() or "logged to W&B", err=True)
    deliver(text, out)
