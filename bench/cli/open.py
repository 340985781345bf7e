"""``bench open``: the page of a store in the browser."""

from pathlib import Path
from typing import Annotated

from bench import api
from bench.cli.options import DEFAULT_STORE, ClaimsOption, OnlyTasks, StoreOption, option
from bench.cli.output import say
from bench.toolkit.collection import without_collection

PAGE = "leaderboard.html"
"""Name of the page in the folder of the store."""


@without_collection()  # of garbage: the process ends with the command
def open_(
    store: StoreOption = DEFAULT_STORE,
    task: OnlyTasks = None,
    claims: ClaimsOption = None,
    out: Annotated[
        Path | None, option("--out", "-o", metavar="FILE", default=f"{PAGE} in the store", help="File of the page.")
    ] = None,
    browser: Annotated[bool, option("--browser/--no-browser", help="Open the page, or write it alone.")] = True,
) -> None:
    """Open the page of a store in the browser.

    The page is one file that works offline; it is written anew each time.
    """
    import webbrowser

    results = api.load(store).of_task(task or ())
    page = results.page(results.store / PAGE if out is None else out, claims=claims)
    if browser and webbrowser.open(page.resolve().as_uri()):
        say(f"opened {page}")
    else:
        say(f"wrote {page}" + ("; no browser was found, open it in one" if browser else ""))
