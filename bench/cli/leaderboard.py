"""``bench leaderboard``: everything that a store has, as a table or a page."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import DEFAULT_STORE, StoreOption
from bench.contracts.errors import StoreError, UsageError, did_you_mean


class Format(StrEnum):
    """What ``bench leaderboard`` can print."""

    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"
    HTML = "html"


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
    from bench.reports.rows import against, rows
    from bench.reports.tables import FORMATS
    from bench.results.grouping import of_tasks
    from bench.results.store import Store

    chosen = of_tasks(Store(store), task or ())
    shown = rows(chosen, Store(store).predictions)
    if break_even is not None:
        if break_even not in {row.method for row in shown}:
            raise did_you_mean("the store's methods", break_even, {row.method for row in shown})
        shown = against(shown, break_even)
    if format_ is Format.HTML or wandb:
        from bench.reports.page import page

        whole = page(shown, chosen)
    text = whole if format_ is Format.HTML else FORMATS[format_](shown)
    if wandb:
        from bench.runs.trackers import WandbTracker

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
