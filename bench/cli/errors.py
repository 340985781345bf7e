"""``bench errors``: queries that a method answers wrong most often."""

from pathlib import Path
from typing import Annotated

import typer

from bench import api
from bench.api.results import Format
from bench.cli.options import DEFAULT_STORE, DataOption, StoreOption
from bench.cli.output import deliver, require_readable


def errors(
    method: Annotated[str, typer.Argument(help="Method, by its name in the leaderboard.")],
    store: StoreOption = DEFAULT_STORE,
    task: Annotated[str | None, typer.Option(help="Task; by default the only one of the method's runs.")] = None,
    shots: Annotated[list[str] | None, typer.Option(help="Only these numbers of shots: 1,5,full.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Backbone; by default the only one.")] = None,
    top: Annotated[int, typer.Option(help="Largest number of queries.")] = 20,
    confusion: Annotated[bool, typer.Option("--confusion", help="Add the confusion matrix.")] = False,
    data: DataOption = None,
    format_: Annotated[
        Format, typer.Option("--format", help="Output format; html is a page with thumbnails of images.")
    ] = "table",
    out: Annotated[Path | None, typer.Option(help="File to write; standard output by default.")] = None,
) -> None:
    """List the queries that a method answers wrong most often, over the episodes and seeds of its runs."""
    require_readable(format_, out)
    found = api.errors(method, task=task, shots=shots or (), backbone=backbone, store=store, data=data, top=top)
    deliver(found.table(format_, confusion), out)
