"""The option by which every command that reads or writes records is told where they are."""

from pathlib import Path
from typing import Annotated

import typer

StoreOption = Annotated[Path, typer.Option("--store", envvar="BENCH_STORE", help="Folder of records.")]
DEFAULT_STORE = Path("runs")
