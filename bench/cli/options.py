"""Options of several commands."""

from pathlib import Path
from typing import Annotated

import typer

from bench.runs.trackers import CHOICES

StoreOption = Annotated[Path, typer.Option("--store", envvar="BENCH_STORE", help="Folder of records.")]
DEFAULT_STORE = Path("runs")
DataOption = Annotated[Path | None, typer.Option(envvar="BENCH_DATA", help="Folder of local data sets.")]
OnlyTasks = Annotated[list[str] | None, typer.Option(help="Only these tasks: commas or repetition.")]
LoggerOption = Annotated[str, typer.Option(help=f"Tracker: {', '.join(CHOICES)}; W&B is offline without a key.")]
TrustOption = Annotated[
    bool, typer.Option("--trust", help="Load weights from files that run code when they are loaded (TorchScript).")
]
LISTED = "commas or repetition"
