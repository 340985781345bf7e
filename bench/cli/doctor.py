"""``bench doctor``: self-test of the meters and folders."""

from typing import Annotated

import typer

from bench import api
from bench.cli.options import DEFAULT_STORE, StoreOption
from bench.cli.output import say


def doctor(
    accelerator: Annotated[str, typer.Option(help="Lightning accelerator.")] = "auto",
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Test the meters of time, memory and operations on known loads, and the folders that runs write to."""
    found = api.doctor(accelerator, store)
    say(str(found))
    if not found.passed:
        raise typer.Exit(1)
