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
    sound = True
    for name, folder, trouble in folders(store):
        sound &= not trouble
        console.print(f"{'wrong' if trouble else 'ok':<6} {name}: {folder} {trouble}".rstrip(), soft_wrap=True)
    for one in findings(options):
        sound &= one.sound
        told = (
            f"expected {one.expected:.4g} {one.unit}, measured {one.measured:.4g}, off by {one.tolerance:.0%} at most"
        )
        console.print(f"{'ok' if one.sound else 'wrong':<6} {one.what}: {told}")
    if not sound:
        raise typer.Exit(1)
