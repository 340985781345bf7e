"""``bench leaderboard``: the records of a store as a table or a page."""

from pathlib import Path
from typing import Annotated

from bench import api
from bench.api.formats import Format
from bench.cli import completion
from bench.cli.options import DEFAULT_STORE, FORMAT, ClaimsOption, OnlyTasks, OutOption, StoreOption, Texts, option
from bench.cli.output import deliver, require_readable, say, say_error
from bench.contracts.errors import UsageError
from bench.toolkit.collection import without_collection


@without_collection()  # of garbage: the process ends with the command
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
    claims: ClaimsOption = None,
    history: Annotated[
        Path | None, option("--history", metavar="FILE", help="File of bench history for a tab of the page.")
    ] = None,
    highlight: Annotated[
        Texts,
        option(
            "--highlight",
            metavar="METHOD,...",
            complete=completion.methods,
            help="Methods that charts never show in grey, as faast.",
        ),
    ] = None,
    site: Annotated[
        Path | None, option("--site", metavar="DIR", help="Folder for a static site, fit for GitHub Pages.")
    ] = None,
    address: Annotated[
        str, option("--site-address", metavar="URL", help="Address of the site, for the links of its feed.")
    ] = "",
    wandb: Annotated[bool, option("--wandb", help="To W&B too: table, plots, records; offline without a key.")] = False,
) -> None:
    """Print the leaderboard of a store."""
    if (site is not None and (format_ != "table" or out is not None)) or (address and site is None):
        raise UsageError("--site DIR has formats of its own: leave out --format and --out; --site-address needs --site")
    require_readable(format_, out)
    results, methods = api.load(store).of_task(task or ()), highlight or ()
    if site is not None:
        written = results.site(site, break_even, claims, address, history, methods)
        say(f"{len(written)} files in {site}; {written[0]} is the index")
    else:
        text = results.table(format_, break_even, claims, history, methods)
        deliver(text + _additions(results, format_, break_even), out)
    if wandb:
        from bench.reports.wandb_board import log_leaderboard
        from bench.runs.trackers.wandb_tracker import WandbTracker

        tracker = WandbTracker(results.store)
        page = results.table("html", break_even, claims, history, methods)
        log_leaderboard(tracker, results.rows(break_even), page)
        say(tracker.hint() or "logged to W&B", err=True)


def _additions(results: "api.Results", format_: Format, break_even: str | None) -> str:
    """What sequences of tasks add to a table; a warning is printed where ratios are of busy times."""
    from bench.reports.company import ratio_warning

    if break_even and (warning := ratio_warning(results.rows(break_even))):
        say_error(f"warning: {warning}")
    sequences = results.sequences(format_) if format_ in ("table", "markdown") else ""
    return f"\n{sequences}" if sequences else ""
