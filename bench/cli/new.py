"""``bench new``: a plugin that works, and its test, to start from."""

from pathlib import Path
from typing import Annotated

import typer

from bench.scaffold.write import _new

app = typer.Typer(
    help="Write a new method or task that works, and its test.", no_args_is_help=True, rich_markup_mode=None
)

NameArgument = Annotated[str, typer.Argument(help="Its name on the command line, and its file's.")]
PackageOption = Annotated[
    Path | None, typer.Option(help="Folder of a package of your own, new or not; by default inside the project.")
]


@app.command()
def method(name: NameArgument, package: PackageOption = None) -> None:
    """Write a method: methods/NAME.py here, or a package with an entry point."""
    _new("method", name, package)


@app.command()
def task(name: NameArgument, package: PackageOption = None) -> None:
    """Write a task: tasks/NAME.py here, or a package with an entry point."""
    _new("task", name, package)
