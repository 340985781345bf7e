"""``bench errors``: queries that a method answers wrong most often."""

from typing import Annotated

import typer

from bench import api
from bench.api.formats import Format
from bench.cli import completion
from bench.cli.options import DEFAULT_STORE, FORMAT, DataOption, OnlyShots, OutOption, StoreOption, Texts, option
from bench.cli.output import deliver, require_readable

ONLY_ONE = "the only one of the runs"
AS_RUN = "none; as the run had them"


def errors(
    method: Annotated[
        str,
        typer.Argument(help="Method, by its name in the leaderboard.", autocompletion=completion.methods),
    ],
    store: StoreOption = DEFAULT_STORE,
    task: Annotated[
        str | None,
        option(
            "--task", "-t", metavar="NAME", complete=completion.tasks, default=ONLY_ONE, help="Task of the queries."
        ),
    ] = None,
    columns: Annotated[
        Texts,
        option("--columns", metavar="NAME=COLUMN,...", default=AS_RUN, help="Columns of your own data."),
    ] = None,
    splits: Annotated[
        Texts, option("--splits", metavar="NAME,NAME", default=AS_RUN, help="Splits of your own data.")
    ] = None,
    shots: OnlyShots = None,
    backbone: Annotated[
        str | None,
        option(
            "--backbone", "-b", metavar="NAME", complete=completion.backbones, default=ONLY_ONE, help="Frozen model."
        ),
    ] = None,
    top: Annotated[int, option("--top", metavar="N", help="Largest number of queries.")] = 20,
    confusion: Annotated[bool, option("--confusion", help="Add the confusion matrix.")] = False,
    data: DataOption = None,
    format_: Annotated[Format, FORMAT] = "table",
    out: OutOption = None,
) -> None:
    """List the queries that a method answers wrong most often.

    Counted over the episodes and seeds of its runs. The form html is a page with thumbnails of images.
    """
    require_readable(format_, out)
    found = api.errors(
        method, task=task, columns=columns or (), splits=splits or (), shots=shots or (), backbone=backbone,
        store=store, data=data, top=top,
    )  # fmt: skip
    deliver(found.table(format_, confusion), out)
