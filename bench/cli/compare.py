"""``bench compare``: differences of two methods on the same episodes."""

from typing import Annotated

import typer

from bench import api
from bench.api.results import TextFormat
from bench.cli.options import DEFAULT_STORE, DataOption, OnlyTasks, StoreOption, TrustOption


def compare(
    a: Annotated[str, typer.Argument(help="Method, by its name in the leaderboard.")],
    b: Annotated[str, typer.Argument(help="Method to compare it with.")],
    store: StoreOption = DEFAULT_STORE,
    task: OnlyTasks = None,
    shots: Annotated[list[str] | None, typer.Option(help="Only these numbers of shots: 1,5,full.")] = None,
    tuned: Annotated[bool, typer.Option("--tuned", help="Compare the tuned methods.")] = False,
    costs: Annotated[bool, typer.Option("--costs", help="Measure both methods' costs anew, in turn: A B A B.")] = False,
    accelerator: Annotated[str, typer.Option(help="Lightning accelerator to measure costs on.")] = "auto",
    data: DataOption = None,
    trust: TrustOption = False,
    format_: Annotated[TextFormat, typer.Option("--format", help="Output format.")] = "table",
) -> None:
    """Compare two methods on the same episodes: differences A - B with intervals and tests (docs/statistics.md)."""
    found = api.compare(
        a, b, store=store, task=task or (), shots=shots or (), tuned=tuned, costs=costs, accelerator=accelerator,
        data=data, trust=trust,
    )  # fmt: skip
    typer.echo(found.table(format_), nl=False)
