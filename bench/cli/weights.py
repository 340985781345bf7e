"""``bench weights``: list and installation of the embedded weights."""

from typing import Annotated

import typer

from bench.cli.help import Command, Group
from bench.cli.output import say

app = typer.Typer(cls=Group, help="List or install the embedded pretrained weights.", rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def weights(context: typer.Context) -> None:
    """List the embedded pretrained weights, and whether they are installed."""
    if context.invoked_subcommand is not None:
        return
    from bench.toolkit.weights import weights_packages

    packages = weights_packages().values()
    width = max(len(package.requirement) for package in packages)
    for package in packages:
        installed = package.installed()
        state = f"installed {installed}" if installed else "not installed"
        say(f"{package.requirement:<{width}}  {state:<15}  {package.use}")


@app.command(cls=Command, epilog="bench weights fetch")
def fetch(names: Annotated[list[str] | None, typer.Argument(help="Packages; all by default.")] = None) -> None:
    """Install weights with pip.

    Without the dependencies that their packages declare.
    """
    from bench.toolkit.weights import fetch as fetch_weights

    made = fetch_weights(names or ())
    for package in made:
        say(f"installed {package.requirement}")
    if not made:
        say("all weights are installed")
