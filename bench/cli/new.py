"""``bench new``: a working plugin and its test from a template."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.help import Command, Group
from bench.cli.options import option
from bench.cli.output import say
from bench.contracts.kinds import Kind

if TYPE_CHECKING:
    from bench.registry import Group as Plugins

app = typer.Typer(
    cls=Group,
    help="Write a new method, task, backbone or metric.\n\nIt works, and comes with its test.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

NameArgument = Annotated[str, typer.Argument(help="Its name for users, and its file's.")]
PackageOption = Annotated[
    Path | None,
    option("--package", metavar="DIR", default="the project", help="Folder of a package of your own, new or not."),
]
KindOption = Annotated[Kind, option("--kind", help="The kind of task.")]


@app.command(cls=Command, epilog="bench new method my_method --package my-plugins")
def method(name: NameArgument, package: PackageOption = None) -> None:
    """Write a method: cosines with class means."""
    _write("methods", name, package)


@app.command(cls=Command, epilog="bench new task my_task --package my-plugins")
def task(name: NameArgument, kind: KindOption = Kind.TEXT_CLASSIFICATION, package: PackageOption = None) -> None:
    """Write a task of any kind, with a few items."""
    _write("tasks", name, package, f"task_{kind}")


@app.command(cls=Command, epilog="bench new backbone my_backbone --package my-plugins")
def backbone(name: NameArgument, package: PackageOption = None) -> None:
    """Write a backbone: an image encoder with random weights."""
    _write("backbones", name, package)


@app.command(cls=Command, epilog="bench new metric my_metric --package my-plugins")
def metric(name: NameArgument, package: PackageOption = None) -> None:
    """Write a metric: the mean reciprocal rank of the right class."""
    _write("metrics", name, package)


def _write(group: "Plugins", name: str, package: Path | None, template: str | None = None) -> None:
    from bench.scaffold.write import new_plugin
    from bench.toolkit.files import user_path

    package = None if package is None else user_path(package)
    written = new_plugin(group, name, package, template)
    for path in written.paths:
        say(f"wrote {path}")
    if written.entry_point:
        table, entry = written.entry_point
        say(f"{written.project} exists; add under {table}:\n{entry}")
    if package is not None:
        say(f"to install it: pip install --editable {package}")
    say(f"to test it: bench test {name}")
