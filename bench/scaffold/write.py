"""Files of new plugins from templates: a working plugin and a test that subclasses its contract suite."""

import keyword
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from bench import registry
from bench.contracts.errors import UsageError
from bench.toolkit.durable import make_folder, write_atomic, writing


@dataclass(frozen=True)
class Written:
    """Files of a new plugin.

    Attributes:
        paths: The written files.
        project: The ``pyproject.toml`` of the package; None inside the project, whose plugins need no entry point.
        entry_point: Lines to add to ``project``; empty if they were written with it.
    """

    paths: list[Path]
    project: Path | None = None
    entry_point: tuple[str, ...] = ()


def noun(group: registry.Group) -> str:
    """The word for one plugin of a group: ``method`` for ``methods``.

    Args:
        group: Kind of plugin, in the plural.

    Returns:
        The singular.
    """
    return group.removesuffix("s")


def new_plugin(group: registry.Group, name: str, package: Path | None, template: str | None = None) -> Written:
    """Write a working plugin and its test.

    Args:
        group: Kind of plugin.
        name: Its name for users, and its file's.
        package: Folder of a package of the user's own, new or existing; None for the project's own folders.
        template: Name of the plugin's template; by default the noun of its group.

    Returns:
        The files, and the lines to add to an existing ``pyproject.toml``.

    Raises:
        UsageError: If the name cannot be used or a file exists; nothing is written then.
        StoreError: If a file cannot be written.
    """
    kind = noun(group)
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_") or name != name.lower():
        raise UsageError(f"a {kind} needs a name in lower case that is a Python name, such as my_{kind}; got {name!r}")
    if name in registry.find(group):
        raise UsageError(f"{group} already has {name!r}, from {registry.get(group, name).origin}; take another name")
    templates = (template or kind, f"test_{kind}")
    return _inside(group, name, templates) if package is None else _outside(group, name, templates, package)


def _inside(group: registry.Group, name: str, templates: tuple[str, str]) -> Written:
    """A plugin in a checkout of the project, where plugins of a group are the modules of one folder."""
    root = Path(__file__).parents[2]
    if not (root / "pyproject.toml").is_file():
        raise UsageError(f"bench is installed as a package here; use --package DIR for a {noun(group)} of your own")
    module = f"{registry.FOLDERS[group]}.{name}"
    places = (root / f"{module.replace('.', '/')}.py", root / "tests" / group / f"test_{name}.py")
    return Written(_write(dict(zip(places, templates, strict=True)), name=name, title=_title(name), module=module))


def _outside(group: registry.Group, name: str, templates: tuple[str, str], folder: Path) -> Written:
    """A plugin in a package of the user's own; existing files are not changed."""
    package = folder.resolve().name.replace("-", "_").lower()
    if not package.isidentifier() or keyword.iskeyword(package):
        raise UsageError(f"--package needs a folder whose name can be a package's, such as my_plugins; got {folder}")
    project = folder / "pyproject.toml"
    table, entry = f'[project.entry-points."bench.{group}"]', f'{name} = "{package}.{name}:PLUGIN"'
    is_new = not project.exists()
    places = (folder / package / f"{name}.py", folder / "tests" / f"test_{name}.py")
    by_path = dict(zip(places, templates, strict=True)) | ({project: "pyproject"} if is_new else {})
    written = _write(
        by_path, name=name, title=_title(name), module=f"{package}.{name}", package=package, table=table, entry=entry,
        distribution=package.replace("_", "-"),
    )  # fmt: skip
    init = folder / package / "__init__.py"
    if not init.exists():
        write_atomic(init, f'"""Plugins of {package}."""\n')
    return Written(written, project, () if is_new else (table, entry))


def _title(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _write(by_path: dict[Path, str], **words: str) -> list[Path]:
    """Write templates to paths.

    Returns:
        The paths.

    Raises:
        UsageError: If a file exists; nothing is written then.
        StoreError: If a file cannot be written.
    """
    if there := [path for path in by_path if path.exists()]:
        raise UsageError(f"{there[0]} exists; take another name or remove it")
    for path, template in by_path.items():
        text = (files("bench.scaffold") / "templates" / f"{template}.txt").read_text(encoding="utf-8")
        with writing(path):
            make_folder(path.parent)
            write_atomic(path, Template(text).substitute(words))
    return list(by_path)
