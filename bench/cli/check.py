"""``bench check``: regression check for continuous integration."""

import os
from pathlib import Path
from typing import Annotated

import typer

from bench import api
from bench.cli.options import DEFAULT_STORE
from bench.cli.output import say
from bench.contracts.errors import StoreError


def check(
    baseline: Annotated[Path, typer.Option(help="Folder of records to compare with.")],
    store: Annotated[
        Path, typer.Option("--store", "--current", envvar="BENCH_STORE", help="Folder of records to check.")
    ] = DEFAULT_STORE,
    update: Annotated[bool, typer.Option("--update", help="Replace the baseline by the current records.")] = False,
    junit: Annotated[Path | None, typer.Option(help="JUnit XML file to write.")] = None,
) -> None:
    """Compare records with a baseline; exit code 1 for a regression (docs/statistics.md).

    The report is also added to the file that GITHUB_STEP_SUMMARY names.
    """
    if update:
        number = api.update_baseline(baseline, store)
        say(f"{baseline} has the {number} current records of {store}")
        return
    found = api.check(baseline, store)
    report = found.markdown()
    typer.echo(report, nl=False)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        _write(Path(summary), report, "a", "GITHUB_STEP_SUMMARY")
    if junit is not None:
        _write(junit, found.junit(), "w", "--junit")
    if found.regressions:
        raise typer.Exit(1)


def _write(path: Path, text: str, mode: str, what: str) -> None:
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StoreError(f"{what} {path} cannot be written: {error.strerror}") from error
