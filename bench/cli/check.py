"""``bench check``: regression check for continuous integration."""

import os
from pathlib import Path
from typing import Annotated

import typer

from bench import api
from bench.api.formats import TextFormat
from bench.cli.options import DEFAULT_STORE, FORMAT, JUnitOption, StoreOption, option
from bench.cli.output import say, write
from bench.reports.kinds import Only
from bench.toolkit.collection import without_collection
from bench.toolkit.durable import writing


@without_collection()  # of garbage: the process ends with the command
def check(
    baseline: Annotated[Path, option("--baseline", metavar="DIR", help="Folder of records to compare with.")],
    store: StoreOption = DEFAULT_STORE,
    update: Annotated[bool, option("--update", help="Replace the baseline by the current records.")] = False,
    only: Annotated[
        Only | None, option("--only", default="both", help="Check scores or costs alone, beside runs.")
    ] = None,
    format_: Annotated[TextFormat, FORMAT] = "table",
    junit: JUnitOption = None,
) -> None:
    """Compare records with a baseline; fail on a regression.

    Exit code 1 for a regression (docs/statistics.md). The report is also added, as Markdown, to the file that
    GITHUB_STEP_SUMMARY names.
    """
    if update:
        number = api.update_baseline(baseline, store)
        say(f"{baseline} has the {number} current records of {store}")
        return
    found = api.check(baseline, store, only=only)
    typer.echo(found.table(format_), nl=False)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with writing(f"GITHUB_STEP_SUMMARY {summary}"), Path(summary).open("a", encoding="utf-8") as file:
            file.write(found.markdown())
    if junit is not None:
        write("--junit", junit, found.junit())
    if found.regressions:
        raise typer.Exit(1)
