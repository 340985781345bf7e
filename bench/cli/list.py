"""``bench list``: methods, tasks, backbones, metrics or suites."""

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from bench import registry
from bench.contracts.errors import UsageError
from bench.plugin import Plugin


class Listed(StrEnum):
    """What ``bench list`` lists."""

    METHODS = "methods"
    TASKS = "tasks"
    BACKBONES = "backbones"
    METRICS = "metrics"
    SUITES = "suites"


def _summary(plugin: Plugin) -> str:
    try:
        return plugin.summary()
    except UsageError as error:  # one broken package hides no other plugin
        return f"cannot be used: {error}"


def _variants(what: Listed, plugin: Plugin) -> dict[str, str]:
    if what is not Listed.TASKS:
        return {}
    try:
        return plugin.variants()
    except UsageError:  # the summary says what is wrong
        return {}


def _sites(plugin: Plugin) -> list[str]:
    try:
        return [site.value for site in plugin.sites()]
    except UsageError:  # its summary says why
        return []


def list_(
    what: Annotated[Listed, typer.Argument(help="What to list.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List methods, tasks, backbones, metrics or suites."""
    entries: list[dict[str, Any]]
    if what is Listed.SUITES:
        from bench.spec.suite import load_suite, suite_paths

        entries = [{"name": name, "summary": load_suite(name).description, "origin": "bench"} for name in suite_paths()]
    else:
        found = registry.find(what.value)
        entries = []
        for name, plugin in found.items():
            entry = {"name": name, "summary": _summary(plugin), "origin": plugin.origin}
            entries.append(entry | ({"sites": _sites(plugin)} if what is Listed.METHODS else {}))
            for argument, summary in _variants(what, plugin).items():
                entries.append({"name": f"{name}:{argument}", "summary": summary, "origin": plugin.origin})
    if as_json:
        typer.echo(json.dumps(entries, indent=1))
        return
    names = [
        f"{entry['name']} [{', '.join(entry['sites'])}]" if entry.get("sites") else entry["name"] for entry in entries
    ]
    width = max(map(len, names), default=0)
    for name, entry in zip(names, entries, strict=True):
        origin = "" if entry["origin"] == "bench" else f" ({entry['origin']})"
        typer.echo(f"{name:<{width}}  {entry['summary']}{origin}")
