"""New plugins from templates."""

import keyword
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Literal

import typer

from bench import registry
from bench.contracts.errors import StoreError, UsageError

Kind = Literal["method", "task"]


GROUPS: dict[Kind, registry.Group] = {"method": "methods", "task": "tasks"}


def _new(kind: Kind, name: str, package: Path | None) -> None:
    group = GROUPS[kind]
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_") or name != name.lower():
        raise UsageError(f"a {kind} needs a name in lower case that is a Python name, such as my_{kind}; got {name!r}")
    if name in registry.find(group):
        raise UsageError(f"{group} has a {name!r} already, from {registry.get(group, name).origin}; take another name")
    written = _inside(kind, name) if package is None else _outside(kind, name, package)
    for path in written:
        typer.echo(f"wrote {path}")
    if package is not None:
        typer.echo(f"to install it: pip install --editable {package}")
    typer.echo(f"to test it: bench test {name}")


def _inside(kind: Kind, name: str) -> list[Path]:
    """In a checkout of the project, which is where the folder is that methods are imported from."""
    group = GROUPS[kind]
    root = Path(__file__).parents[2]
    if not (root / "pyproject.toml").is_file():
        raise UsageError(f"bench is installed as a package here; use --package DIR for a {kind} of your own")
    return _write(
        {root / group / f"{name}.py": kind, root / "tests" / group / f"test_{name}.py": f"test_{kind}"},
        name=name, title=_title(name), module=f"{group}.{name}",
    )  # fmt: skip


def _outside(kind: Kind, name: str, folder: Path) -> list[Path]:
    """In a package of the user's own; what is there already is not touched."""
    package = folder.resolve().name.replace("-", "_").lower()
    if not package.isidentifier() or keyword.iskeyword(package):
        raise UsageError(f"--package needs a folder whose name can be a package's, such as my_plugins; got {folder}")
    project = folder / "pyproject.toml"
    wanted = {folder / package / f"{name}.py": kind, folder / "tests" / f"test_{name}.py": f"test_{kind}"}
    group = GROUPS[kind]
    if project.exists():
        typer.echo(f'{project} is there already; add under [project.entry-points."bench.{group}"]:')
        typer.echo(f'{name} = "{package}.{name}:PLUGIN"')
    else:
        wanted[project] = "pyproject"
    written = _write(
        wanted, name=name, title=_title(name), module=f"{package}.{name}", package=package, group=group,
        distribution=package.replace("_", "-"),
    )  # fmt: skip
    init = folder / package / "__init__.py"
    if not init.exists():
        init.write_text(f'"""Plugins of {package}."""\n', encoding="utf-8")
    return written


def _title(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _write(wanted: dict[Path, str], **words: str) -> list[Path]:
    """Templates by the path to write them to. Raises UsageError before anything is written if a file is there."""
    if there := [path for path in wanted if path.exists()]:
        raise UsageError(f"{there[0]} is there already; take another name or remove it")
    for path, template in wanted.items():
        text = (files("bench.scaffold") / "templates" / f"{template}.txt").read_text(encoding="utf-8")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(text).substitute(words), encoding="utf-8")
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}") from error
    return list(wanted)
