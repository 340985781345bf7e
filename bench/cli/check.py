"""``bench check``: regression check for continuous integration."""

import os
from pathlib import Path
from typing import Annotated

import typer

from bench import api
from bench.api.results import TextFormat
from bench.cli.options import DEFAULT_STORE
from bench.cli.output import say
from bench.contracts.errors import StoreError
from bench.reports.kinds import Only
from bench.toolkit.durable import write_atomic
from bench.toolkit.files import user_path


def check(
    baseline: Annotated[Path, typer.Option(help="Folder of records to compare with.")],
    store: Annotated[
        Path, typer.Option("--store", "--current", envvar="BENCH_STORE", help="Folder of records to check.")
    ] = DEFAULT_STORE,
    update: Annotated[bool, typer.Option("--update", help="Replace the baseline by the current records.")] = False,
    only: Annotated[Only | None, typer.Option(help="Check scores or costs alone, beside runs.")] = None,
    format_: Annotated[TextFormat, typer.Option("--format", help="Output format.")] = "table",
    junit: Annotated[Path | None, typer.Option(help="JUnit XML file to write.")] = None,
) -> None:
    """Compare records with a baseline; exit code 1 for a regression (docs/statistics.md).

    The report is also added, as Markdown, to the file that GITHUB_STEP_SUMMARY names.
    """
    if update:
        number = api.update_baseline(baseline, store)
        say(f"{baseline} has the {number} current records of {store}")
        return
    found = api.check(baseline, store, only=only)
    typer.echo(found.table(format_), nl=False)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(found.markdown())
        except OSError as error:
            raise StoreError(f"GITHUB_STEP_SUMMARY {summary} cannot be written: {error.strerror}") from error
    if junit is not None:
        try:
            write_atomic(user_path(junit), found.junit())
        except OSError as error:
            raise StoreError(f"--junit {junit} cannot be written: {error.strerror}") from error
    if found.regressions:
        raise typer.Exit(1)
