"""``bench list``: methods, tasks, backbones, metrics or suites."""

import json
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, cast, get_args

import typer

from bench import api
from bench.api.listing import Listed
from bench.cli.output import say
from bench.plugin import OWN

What = StrEnum("What", {name.upper(): name for name in get_args(Listed)})  # type: ignore[misc]


def list_(
    what: Annotated[What, typer.Argument(help="Kind of the names.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List methods, tasks, backbones, metrics or suites."""
    entries = api.available(cast(Listed, what.value))
    if as_json:
        left_out = set() if what == "methods" else {"sites"}
        fields = [{name: value for name, value in asdict(entry).items() if name not in left_out} for entry in entries]
        typer.echo(json.dumps(fields, indent=1))
        return
    names = [f"{entry.name} [{', '.join(entry.sites)}]" if entry.sites else entry.name for entry in entries]
    width = max(map(len, names), default=0)
    for name, entry in zip(names, entries, strict=True):
        origin = "" if entry.origin == OWN else f" ({entry.origin})"
        say(f"{name:<{width}}  {entry.summary}{origin}")
