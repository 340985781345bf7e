"""What plugins declare of themselves, read from their source without an import: kinds of task, families of methods."""

import ast
from typing import cast

from bench.contracts import kinds as names_of_kinds
from bench.contracts.errors import UsageError
from bench.contracts.kinds import CLASSIFICATION, FAMILIES, LANGUAGE, Family, Kind
from bench.plugin import Plugin
from bench.registry.finding import Group
from bench.registry.source_classes import UnknownSourceError, base_names, value_of

_OF_SITE = {"features": CLASSIFICATION, "hidden_states": LANGUAGE}
"""Kinds of the classes that ``MemoryMethod`` makes."""


def kinds_of(group: Group, plugin: Plugin, imports: bool = False) -> frozenset[Kind]:
    """Kinds of task that a plugin serves: those of a method at all of its sites, and the kind of a task itself.

    Args:
        group: Kind of plugin.
        plugin: The plugin.
        imports: Whether to import the plugin where its source does not show the kinds.

    Returns:
        The kinds; none where the source does not show them and the plugin is not imported.

    Raises:
        UsageError: If the plugin has to be imported and cannot be.
    """
    try:
        if group != "methods":
            return _declared(plugin.module, plugin.attribute, "kind" if group == "tasks" else "kinds")
        return frozenset[Kind]().union(*(_kinds_at(plugin, site) for site in _sites(plugin)))
    except UnknownSourceError:
        return _imported_kinds(group, plugin) if imports else frozenset()


def family_of(plugin: Plugin, imports: bool = False) -> Family | None:
    """The family of a method.

    Args:
        plugin: The method.
        imports: Whether to import the plugin where its source does not show the family.

    Returns:
        One of ``FAMILIES``; None where the source does not show it and the plugin is not imported.

    Raises:
        UsageError: If the plugin has to be imported and cannot be, or declares another family.
    """
    try:
        found = None
        for site in [None, *_sites(plugin)]:
            found = found or value_of(*_class_at(plugin, site), "family")
        family = None if found is None else ast.literal_eval(found[1])
    except (UnknownSourceError, ValueError):
        if not imports:
            return None
        family = getattr(_first_class(plugin), "family", None)
    if family not in FAMILIES:
        raise UsageError(f"method {plugin.name} needs a family among {', '.join(FAMILIES)}, got {family!r}")
    return cast("Family", family)


def _sites(plugin: Plugin) -> list[str | None]:
    """Sites of a method; None for one without a choice of them."""
    return [site.value for site in plugin.sites()] or [None]


def _class_at(plugin: Plugin, site: str | None) -> tuple[str, str]:
    """Module and name of the class of a method at a site; its own where a site's class is made by ``MemoryMethod``."""
    found = None if site is None else value_of(plugin.module, plugin.attribute, site)
    if found is None:
        return plugin.module, plugin.attribute
    if not isinstance(found[1], ast.Name):
        raise UnknownSourceError(ast.unparse(found[1]))
    return found[0], found[1].id


def _kinds_at(plugin: Plugin, site: str | None) -> frozenset[Kind]:
    made = site is not None and value_of(plugin.module, plugin.attribute, site) is None
    if site is not None and made and "MemoryMethod" in base_names(plugin.module, plugin.attribute):
        return _OF_SITE[site]
    return _declared(*_class_at(plugin, site), "kinds")


def _declared(module: str, name: str, attribute: str) -> frozenset[Kind]:
    """Kinds in an attribute of a class."""
    found = value_of(module, name, attribute)
    if found is None:
        raise UnknownSourceError(f"{module}.{name}.{attribute}")
    value = _evaluated(found[1])
    return frozenset({value}) if isinstance(value, Kind) else frozenset(cast("frozenset[Kind]", value))


def _evaluated(node: ast.expr) -> object:
    """An expression of kinds, such as ``LANGUAGE | {Kind.IMAGE_CLASSIFICATION}``."""
    match node:
        case ast.Attribute(value=ast.Name(id="Kind"), attr=name) if name in Kind.__members__:
            return Kind[name]
        case ast.Name(id=("Kind" | "CLASSIFICATION" | "LANGUAGE") as name):
            return getattr(names_of_kinds, name)
        case ast.Set(elts=elements):
            return frozenset(map(_evaluated, elements))
        case ast.Call(func=ast.Name(id="frozenset"), args=[argument], keywords=[]):
            return frozenset(cast("frozenset[Kind]", _evaluated(argument)))
        case ast.BinOp(left=left, op=ast.BitOr() | ast.Sub() as operation, right=right):
            one, other = (cast("frozenset[Kind]", _evaluated(side)) for side in (left, right))
            return one | other if isinstance(operation, ast.BitOr) else one - other
    raise UnknownSourceError(ast.unparse(node))


def _imported_kinds(group: Group, plugin: Plugin) -> frozenset[Kind]:
    """Kinds of a plugin's class."""
    found = plugin.load()
    if group == "tasks":
        return frozenset({found.kind})
    if group == "methods" and plugin.sites():
        return frozenset[Kind]().union(*(found.at(site).kinds for site in found.sites()))
    return frozenset(found.kinds)


def _first_class(plugin: Plugin) -> object:
    """A method's class, at its first site."""
    found = plugin.load()
    return found.at(found.sites()[0]) if hasattr(found, "sites") else found
