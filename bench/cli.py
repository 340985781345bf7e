"""The command line. Nothing heavy is imported before a command needs it: ``--help`` answers at once."""

import json
import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

from bench import plugins
from bench.comparing.command import compare
from bench.errors import BenchError, UsageError
from bench.gate.command import check
from bench.interrupts import Interrupted
from bench.keeping import command as keeping
from bench.keeping.option import DEFAULT_STORE, StoreOption
from bench.leaderboard.command import leaderboard
from bench.readouts import command as readouts
from bench.running import run
from bench.scaffold import command as scaffold
from bench.testing import command as testing
from sweeps import command as sweeps

app = typer.Typer(
    help="Compare ways of adapting a frozen pretrained model under matched budgets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help and one-line errors; rich alone would take a third of the time that --help has.
    rich_markup_mode=None,
)


class Listed(StrEnum):
    """What ``bench list`` lists."""

    METHODS = "methods"
    TASKS = "tasks"
    BACKBONES = "backbones"
    SUITES = "suites"


def _summary(plugin: plugins.Plugin) -> str:
    try:
        return plugin.summary()
    except UsageError as error:  # one broken package hides no other plugin
        return f"cannot be used: {error}"


def list_(
    what: Annotated[Listed, typer.Argument(help="What to list.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List methods, tasks, backbones or suites."""
    if what is Listed.SUITES:
        from bench.spec import load_suite, suite_paths

        entries = [{"name": name, "summary": load_suite(name).description, "origin": "bench"} for name in suite_paths()]
    else:
        found = plugins.find(what.value)
        entries = [
            {"name": name, "summary": _summary(plugin), "origin": plugin.origin} for name, plugin in found.items()
        ]
    if as_json:
        typer.echo(json.dumps(entries, indent=1))
        return
    width = max((len(entry["name"]) for entry in entries), default=0)
    for entry in entries:
        origin = "" if entry["origin"] == "bench" else f" ({entry['origin']})"
        typer.echo(f"{entry['name']:<{width}}  {entry['summary']}{origin}")


def doctor(
    accelerator: Annotated[str, typer.Option(help="Lightning accelerator.")] = "auto",
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Test the meters of time, memory and operations on known loads, and the folders that runs write to."""
    from rich.console import Console

    from bench.devices import DeviceOptions, quiet_lightning
    from bench.doctor import findings, folders

    quiet_lightning()
    options = DeviceOptions(accelerator=accelerator)
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(f"device: {options.device_name()}")
    sound = True
    for name, folder, trouble in folders(store):
        sound &= not trouble
        console.print(f"{'wrong' if trouble else 'ok':<6} {name}: {folder} {trouble}".rstrip(), soft_wrap=True)
    for one in findings(options):
        sound &= one.sound
        told = (
            f"expected {one.expected:.4g} {one.unit}, measured {one.measured:.4g}, off by {one.tolerance:.0%} at most"
        )
        console.print(f"{'ok' if one.sound else 'wrong':<6} {one.what}: {told}")
    if not sound:
        raise typer.Exit(1)


app.command("list")(list_)
app.command()(run)
app.command()(leaderboard)
app.command()(compare)
app.command()(check)
app.command("sweep")(sweeps.sweep)
app.command()(doctor)
app.command("test")(testing.test)
app.add_typer(scaffold.app, name="new")
app.add_typer(keeping.app, name="records")
app.add_typer(readouts.app, name="readout")


def main() -> None:
    """Entry point: one line for what a user can mend, exit code 2 for usage and 1 for failures."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Threads that spin long while they wait slow down a busy machine; those that never do, an idle one.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    try:
        app()
    except Interrupted as error:
        typer.echo(f"bench: ended by {error}; what was finished is recorded, the same command goes on", err=True)
        sys.exit(128 + error.number)
    except UsageError as error:
        typer.echo(f"bench: {error}", err=True)
        sys.exit(2)
    except BenchError as error:
        typer.echo(f"bench: {error}", err=True)
        sys.exit(1)
