"""``bench list``: methods, tasks, backbones, metrics, suites or claims."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, cast, get_args

import typer

from bench import api
from bench.api.formats import Listed
from bench.cli import completion
from bench.cli.options import option
from bench.cli.output import say
from bench.contracts.errors import UsageError
from bench.contracts.kinds import CLASSIFICATION, FAMILIES, Kind
from bench.plugin import OWN

What = StrEnum("What", {name.upper(): name for name in get_args(Listed)})  # type: ignore[misc]


def list_(
    what: Annotated[What, typer.Argument(help="Kind of the names.")],
    kind: Annotated[
        str | None,
        option(
            "--kind",
            metavar="KIND",
            complete=completion.values(*Kind),
            default="any",
            help="Only what serves a kind of task: language_modelling.",
        ),
    ] = None,
    family: Annotated[
        str | None,
        option(
            "--family",
            metavar="FAMILY",
            complete=completion.values(*FAMILIES),
            default="any",
            help=f"A family: {', '.join(FAMILIES)}.",
        ),
    ] = None,
    as_json: Annotated[bool, option("--json", help="Print JSON.")] = False,
    schema: Annotated[bool, option("--schema", help="Print JSON Schema of suite or claim files.")] = False,
) -> None:
    """List methods, tasks, backbones, metrics, suites or claims.

    bench show NAME describes one, docs/choosing.md the families.
    """
    if schema:
        if what not in {"suites", "claims"} or kind or family or as_json:
            raise UsageError(
                "--schema is of suites and claims, without other options: bench list suites --schema, or claims"
            )
        found = api.suite_schema() if what == "suites" else api.claim_schema()
        typer.echo(json.dumps(found, indent=1))
        return
    entries = api.available(cast(Listed, what.value), kind=kind, family=family)
    if as_json:
        left_out = set() if what == "methods" else {"sites", "family"}
        left_out |= {"kinds"} if what in {"suites", "claims"} else set()
        fields = [{name: value for name, value in asdict(entry).items() if name not in left_out} for entry in entries]
        typer.echo(json.dumps(fields, indent=1))
        return
    names = [f"{entry.name} [{', '.join(entry.sites)}]" if entry.sites else entry.name for entry in entries]
    width = max(map(len, names), default=0)
    for name, entry in zip(names, entries, strict=True):
        kinds = f" [{_kinds_text(entry.kinds)}]" if entry.kinds else ""
        origin = "" if entry.origin == OWN else f" ({entry.origin})"
        say(f"{name:<{width}}  {entry.summary}{kinds}{origin}")


def _kinds_text(kinds: Sequence[str]) -> str:
    """Kinds of task as ``--kind`` takes them, with one word for all of them and for all kinds of classification."""
    if len(kinds) == len(Kind):
        return "any kind"
    if set(kinds) >= CLASSIFICATION:
        kinds = ["classification", *(kind for kind in kinds if kind not in CLASSIFICATION)]
    return ", ".join(kinds)
