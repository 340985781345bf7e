"""``bench doctor``: self-test of the meters and folders."""

import typer

from bench import api
from bench.cli.options import DEFAULT_STORE, AcceleratorOption, StoreOption
from bench.cli.output import say


def doctor(accelerator: AcceleratorOption = "auto", store: StoreOption = DEFAULT_STORE) -> None:
    """Test the meters of time, memory and operations.

    Known loads are measured, and the folders that runs write to are tried.
    """
    if not api.doctor(accelerator, store, say).passed:
        raise typer.Exit(1)
