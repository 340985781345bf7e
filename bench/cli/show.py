"""``bench show``: one method, task, backbone or metric."""

import json
from typing import Annotated

import typer

from bench import api
from bench.cli.output import say


def show(
    name: Annotated[str, typer.Argument(help="Name of a method, a task, a backbone or a metric.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Describe a method, a task, a backbone or a metric: kinds, sites, fields, paper, costs, data and licence."""
    found = api.show(name)
    if as_json:
        typer.echo(json.dumps([each.as_dict() for each in found], indent=1))
        return
    for each in found:
        say(str(each).rstrip())
