"""``bench show``: one method, task, backbone or metric."""

import json
from typing import Annotated

import typer

from bench import api
from bench.cli import completion
from bench.cli.options import DataOption, Texts, option
from bench.cli.output import say
from bench.cli.run_options import OF_TASK


def show(
    name: Annotated[str, typer.Argument(help="Its name.", autocompletion=completion.plugins)],
    count: Annotated[bool, option("--count", help="Read a task's data, and count its items.")] = False,
    columns: Annotated[
        Texts,
        option("--columns", metavar="NAME=COLUMN,...", default=OF_TASK, help="Columns of your own data, to count."),
    ] = None,
    splits: Annotated[
        Texts, option("--splits", metavar="NAME,NAME", default=OF_TASK, help="Splits of your own data, likewise.")
    ] = None,
    data: DataOption = None,
    as_json: Annotated[bool, option("--json", help="Print JSON.")] = False,
) -> None:
    """Describe a method, a task, a backbone or a metric.

    Kinds, sites, fields with defaults and bounds, paper, costs, size, data and licence.
    """
    found = api.show(name, count=count, columns=columns or (), splits=splits or (), data=data)
    if as_json:
        typer.echo(json.dumps([each.as_dict() for each in found], indent=1))
        return
    for each in found:
        say(str(each).rstrip())
