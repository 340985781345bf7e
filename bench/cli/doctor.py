"""``bench doctor``: self-test of the meters and folders."""

import sys
from typing import Annotated

import typer

from bench.cli.options import DEFAULT_STORE, StoreOption


def doctor(
    accelerator: Annotated[str, typer.Option(help="Lightning accelerator.")] = "auto",
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Test the meters of time, memory and operations on known loads, and the folders that runs write to."""
    from rich.console import Console

    from bench.costs.doctor import findings, folders
    from bench.engine.trainer import DeviceOptions, quiet_lightning

    quiet_lightning()
    options = DeviceOptions(accelerator=accelerator)
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(f"device: {options.device_name()}")
    passed = True
    for name, folder, problem in folders(store):
        passed &= not problem
        console.print(f"{'wrong' if problem else 'ok':<6} {name}: {folder} {problem}".rstrip(), soft_wrap=True)
    for finding in findings(options):
        passed &= finding.passed
        console.print(
            f"{'ok' if finding.passed else 'wrong':<6} {finding.name}: expected {finding.expected:.4g} {finding.unit}, "
            f"measured {finding.measured:.4g}, tolerance {finding.tolerance:.0%}"
        )
    if not passed:
        raise typer.Exit(1)
