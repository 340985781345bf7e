"""Lookup of plugins of all kinds, by file name or entry point, without an import of plugins."""

import pkgutil
from contextlib import suppress
from functools import cache, lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any, Literal

from bench import own_packages
from bench.contracts.errors import UsageError, did_you_mean
from bench.plugin import OWN, Plugin
from bench.toolkit.versions import import_folders

Group = Literal["methods", "tasks", "backbones", "metrics"]
FOLDERS: dict[Group, str] = {
    "methods": "methods", "tasks": "tasks", "backbones": "bench.backbones", "metrics": "bench.metrics"
}  # fmt: skip


def _from_entry_point(point: EntryPoint) -> Plugin:
    distribution = point.dist.name if point.dist else "an unknown package"
    return Plugin(point.name, point.module, point.attr or "PLUGIN", distribution)


@lru_cache(maxsize=8)
def _entry_points(folders: tuple[tuple[str, int], ...]) -> Any:
    """Entry points of all packages, read once for one state of the import path: each time takes some 20 ms."""
    return entry_points()  # before Python 3.12 these are no EntryPoints, but have select too


def _declared(group: Group, folders: tuple[tuple[str, int], ...]) -> EntryPoints:
    """Entry points of a group."""
    found: EntryPoints = _entry_points(folders).select(group=f"bench.{group}")
    return found


@cache
def find(group: Group) -> dict[str, Plugin]:
    """All plugins of a group, this project's own and those of installed packages.

    Args:
        group: Kind of plugin.

    Returns:
        Plugins by name, in alphabetical order.

    Raises:
        UsageError: If two packages have a plugin of one name.
    """
    folder = FOLDERS[group]
    found = {
        module.name: Plugin(module.name, f"{folder}.{module.name}", "PLUGIN", OWN)
        for module in pkgutil.iter_modules([str(own_packages.folder(folder))])
        if not module.name.startswith("_")
    }
    for point in _declared(group, import_folders()):
        plugin = _from_entry_point(point)
        if plugin.name in found:
            other = found[plugin.name].origin
            raise UsageError(
                f"{group} has two plugins named {plugin.name!r}, from {other} and {plugin.origin}; uninstall one"
            )
        found[plugin.name] = plugin
    return dict(sorted(found.items()))


def get(group: Group, name: str) -> Plugin:
    """The plugin of ``name`` or ``name:argument``.

    Args:
        group: Kind of plugin.
        name: Name of the plugin, with or without an argument.

    Returns:
        The plugin.

    Raises:
        UsageError: For an unknown name, with the closest known one.
    """
    found = find(group)
    plugin = name.partition(":")[0]
    if plugin not in found:
        variants = task_variants() if group == "tasks" else []
        raise did_you_mean(group.removesuffix("s"), name, [*found, *variants])
    return found[plugin]


def task_variants() -> list[str]:
    """Names of all tasks with an argument, without an import; broken plugins are left out."""
    names = []
    for name, plugin in find("tasks").items():
        with suppress(UsageError):
            names += [f"{name}:{argument}" for argument in plugin.variants()]
    return names
