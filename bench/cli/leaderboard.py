"""``bench leaderboard``: the records of a store as a table or a page."""

from pathlib import Path
from typing import Annotated

from bench import api
from bench.api.results import Format
from bench.cli import completion
from bench.cli.options import DEFAULT_STORE, FORMAT, OnlyTasks, OutOption, StoreOption, option
from bench.cli.output import deliver, require_readable, say, say_error
from bench.contracts.errors import UsageError


def leaderboard(
    store: StoreOption = DEFAULT_STORE,
    format_: Annotated[Format, FORMAT] = "table",
    out: OutOption = None,
    task: OnlyTasks = None,
    break_even: Annotated[
        str | None,
        option(
            "--break-even",
            metavar="METHOD",
            complete=completion.methods,
            help="Add the number of queries above which others are faster.",
        ),
    ] = None,
    claims: Annotated[
        str | None,
        option(
            "--claims",
            metavar="NAME",
            complete=completion.claims,
            help="Claims for a section of the page; bench claims lists them.",
        ),
    ] = None,
    site: Annotated[
        Path | None, option("--site", metavar="DIR", help="Folder for a static site, fit for GitHub Pages.")
    ] = None,
    address: Annotated[
        str, option("--site-address", metavar="URL", help="Address of the site, for the links of its feed.")
    ] = "",
    wandb: Annotated[
        bool, option("--wandb", help="Log table, plots and records to W&B too, offline without a key.")
    ] = False,
) -> None:
    """Print the leaderboard of a store."""
    if (site is not None and (format_ != "table" or out is not None)) or (address and site is None):
        raise UsageError("--site DIR has formats of its own: leave out --format and --out; --site-address needs --site")
    require_readable(format_, out)
    results = api.load(store).of_task(task or ())
    if site is not None:
        written = results.site(site, break_even, claims, address)
        say(f"{len(written)} files in {site}; {written[0]} is the index")
    else:
        deliver(_text(results, format_, break_even, claims), out)
    if wandb:
        from bench.reports.wandb_board import log_leaderboard
        from bench.runs.trackers import WandbTracker

        tracker = WandbTracker(results.store)
        log_leaderboard(tracker, results.rows(break_even), results.table("html", break_even, claims))
        say(tracker.hint() or "logged to W&B", err=True)


def _text(results: api.Results, format_: Format, break_even: str | None, claims: str | None) -> str:
    """The leaderboard, with what sequences of tasks add to it; a warning is printed where ratios are of busy times."""
    from bench.reports.company import ratio_warning

    text = results.table(format_, break_even, claims)
    if format_ in ("table", "markdown") and (sequences := results.sequences(format_)):
        text += "\n" + sequences
    if break_even and (warning := ratio_warning(results.rows(break_even))):
        say_error(f"warning: {warning}")
    return text
