"""``bench check``: a gate for continuous integration."""

import os
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import DEFAULT_STORE


def check(
    baseline: Annotated[Path, typer.Option(help="Folder of records to compare with.")],
    current: Annotated[Path, typer.Option(envvar="BENCH_STORE", help="Folder of records to check.")] = DEFAULT_STORE,
    update: Annotated[
        bool, typer.Option("--update", help="Make the current records the baseline, whatever is found.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(help="JUnit XML file to write.")] = None,
) -> None:
    """Compare records with a baseline; exit code 1 if anything became worse (docs/statistics.md).

    The report is also added to the file that GITHUB_STEP_SUMMARY names.
    """
    from bench.contracts.errors import UsageError
    from bench.reports.check import checks
    from bench.reports.check_baseline import both, replace
    from bench.reports.check_report import as_junit, as_markdown
    from bench.results.store import Store

    before, now = Store(baseline), Store(current)
    if update:
        number = replace(before, now)
        typer.echo(f"{baseline} holds the {number} current records of {current} now")
        return
    if not before.paths():
        raise UsageError(f"--baseline {baseline} holds no records; make a baseline of the current ones with --update")
    found = checks(list(before), list(now), both(before, now))
    report = as_markdown(found)
    typer.echo(report, nl=False)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        _write(Path(summary), report, "a", "GITHUB_STEP_SUMMARY")
    if junit is not None:
        _write(junit, as_junit(found), "w", "--junit")
    if any(one.verdict == "regression" for one in found):
        raise typer.Exit(1)


def _write(path: Path, text: str, mode: str, what: str) -> None:
    from bench.contracts.errors import StoreError

    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StoreError(f"{what} {path} cannot be written: {error.strerror}") from error
