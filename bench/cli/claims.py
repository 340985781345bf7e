"""``bench claims``: statements with their tests."""

from enum import StrEnum
from typing import Annotated

import typer

from bench import api
from bench.api.formats import ClaimFormat
from bench.cli import completion
from bench.cli.options import (
    DEFAULT_STORE,
    FORMAT,
    AcceleratorOption,
    DataOption,
    JUnitOption,
    LoggerOption,
    OutOption,
    RemeasureOption,
    StoreOption,
    TrustOption,
    option,
)
from bench.cli.output import deliver, require_readable, say, say_error, write
from bench.contracts.errors import UsageError


class FailOn(StrEnum):
    """Verdicts that end the command with exit code 1."""

    REFUTED = "refuted"
    UNDECIDED = "undecided"


def claims(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Shipped claims or a YAML file; without one a list of them.",
            autocompletion=completion.claims,
        ),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    execute: Annotated[
        bool, option("--run/--no-run", help="Run what is missing, or judge by what is recorded.")
    ] = True,
    remeasure: RemeasureOption = False,
    fail_on: Annotated[
        FailOn | None,
        option("--fail-on", default="never", help="Exit code 1 for a refuted claim, or an undecided one too."),
    ] = None,
    junit: JUnitOption = None,
    data: DataOption = None,
    accelerator: AcceleratorOption = "auto",
    trust: TrustOption = False,
    logger: LoggerOption = "none",
    format_: Annotated[ClaimFormat, FORMAT] = "table",
    out: OutOption = None,
) -> None:
    """Test claims, such as those of a paper.

    Runs what the claims need and says what the runs confirm and refute (docs/claims.md).
    """
    if name is None:
        if junit is not None or fail_on is not None or out is not None:
            raise UsageError("claims needs a NAME or a FILE to test, such as bench claims faast")
        listed = api.available("claims")
        width = max(len(entry.name) for entry in listed)
        for entry in listed:
            say(f"{entry.name:<{width}}  {entry.summary}")
        return
    require_readable(format_, out)
    found = api.claims(
        name, store=store, execute=execute, remeasure=remeasure, data=data, accelerator=accelerator, trust=trust,
        logger=logger,
    )  # fmt: skip
    deliver(found.table(format_), out)
    if junit is not None:
        write("--junit", junit, found.junit())
    if execute and (found.results.failed or found.results.problems or not found.results.measured):
        say_error("some runs of the claims failed; cells without a result have the reasons")
        raise typer.Exit(1)
    if fail_on and (found.refuted or (fail_on is FailOn.UNDECIDED and found.undecided)):
        raise typer.Exit(1)
