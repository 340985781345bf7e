"""``bench show``: one method, task, backbone or metric."""

import json
from typing import Annotated

import typer

from bench import api
from bench.cli import completion
from bench.cli.options import option
from bench.cli.output import say


def show(
    name: Annotated[str, typer.Argument(help="Its name.", autocompletion=completion.plugins)],
    as_json: Annotated[bool, option("--json", help="Print JSON.")] = False,
) -> None:
    """Describe a method, a task, a backbone or a metric.

    Kinds, sites, fields with defaults and bounds, paper, costs, data and licence.
    """
    found = api.show(name)
    if as_json:
        typer.echo(json.dumps([each.as_dict() for each in found], indent=1))
        return
    for each in found:
        say(str(each).rstrip())
