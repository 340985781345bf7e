"""``bench compare``: differences of two methods on the same episodes."""

from contextlib import nullcontext
from typing import Annotated

import typer

from bench import api
from bench.api.formats import TextFormat
from bench.cli import completion
from bench.cli.options import (
    DEFAULT_STORE,
    FORMAT,
    AcceleratorOption,
    DataOption,
    OnlyShots,
    OnlyTasks,
    StoreOption,
    TrustOption,
    option,
)
from bench.toolkit.collection import without_collection


def compare(
    a: Annotated[
        str,
        typer.Argument(help="Method, by its name in the leaderboard.", autocompletion=completion.methods),
    ],
    b: Annotated[str, typer.Argument(help="Method to compare it with.", autocompletion=completion.methods)],
    store: StoreOption = DEFAULT_STORE,
    task: OnlyTasks = None,
    shots: OnlyShots = None,
    tuned: Annotated[bool, option("--tuned", help="Compare the tuned methods.")] = False,
    costs: Annotated[bool, option("--costs", help="Measure both methods' costs anew, in turn: A B A B.")] = False,
    accelerator: AcceleratorOption = "auto",
    data: DataOption = None,
    trust: TrustOption = False,
    format_: Annotated[TextFormat, FORMAT] = "table",
) -> None:
    """Compare two methods on the same episodes.

    Differences A - B with intervals and tests (docs/statistics.md).
    """
    # Of garbage: the process ends with the command, unless it measures for minutes first.
    with nullcontext() if costs else without_collection():
        found = api.compare(
            a, b, store=store, task=task or (), shots=shots or (), tuned=tuned, costs=costs, accelerator=accelerator,
            data=data, trust=trust,
        )  # fmt: skip
        typer.echo(found.table(format_), nl=False)
