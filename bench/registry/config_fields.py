"""Names of a method's config fields, read from its source without an import, so that wrong names are found early."""

import ast

from bench.contracts.errors import UsageError
from bench.registry.finding import get
from bench.registry.source_classes import UnknownSourceError, base_names, class_of, name_of, value_of

SITE_CONFIGS = (("bench.contracts.config", "AssociativeConfig"), ("bench.toolkit.hidden_states", "HiddenStateConfig"))
"""Configs that ``MemoryMethod`` adds to a method's own."""


def config_fields(method: str) -> frozenset[str] | None:
    """Names of the fields of a method's config, at all of its sites.

    Args:
        method: The plugin's name.

    Returns:
        The names, with ``site`` for a method with a choice of sites; None if the source files do not show them.

    Raises:
        UsageError: For an unknown method.
    """
    plugin = get("methods", method)
    try:
        return frozenset(_of_method(plugin.module, plugin.attribute))
    except (UnknownSourceError, UsageError):
        return None


def _of_method(module: str, name: str) -> set[str]:
    """Fields of a class of methods."""
    configs = [found for found in (_attribute(module, name, "Config"),) if found is not None]
    sites = [_attribute(module, name, site) for site in ("features", "hidden_states")]
    found = {field for config in configs for field in _of_config(*config)}
    for site in sites:
        found |= _of_method(*site) if site is not None else set()
    bases = base_names(module, name)
    if "MemoryMethod" in bases:
        found |= {field for config in SITE_CONFIGS for field in _of_config(*config)}
    return found | ({"site"} if bases & {"MultiSiteMethod", "MemoryMethod"} else set())


def _of_config(module: str, name: str) -> set[str]:
    """Fields of a config class and its bases."""
    if name == "BaseModel":
        return set()
    module, definition = class_of(module, name)
    own = {
        statement.target.id
        for statement in definition.body
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and "ClassVar" not in ast.unparse(statement.annotation)
    }
    return own.union(*(_of_config(module, name_of(base)) for base in definition.bases))


def _attribute(module: str, name: str, attribute: str) -> tuple[str, str] | None:
    """Module and name of the class that is an attribute of a class, by itself or by a base."""
    found = value_of(module, name, attribute)
    return None if found is None else (found[0], name_of(found[1]))
