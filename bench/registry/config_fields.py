"""Names of a method's config fields, read from its source without an import, so that wrong names are found early."""

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from bench import own_packages
from bench.contracts.errors import UsageError
from bench.plugin import OWN
from bench.registry.finding import get

SITE_CONFIGS = (("bench.contracts.config", "AssociativeConfig"), ("bench.toolkit.hidden_states", "HiddenStateConfig"))
"""Configs that ``MemoryMethod`` adds to a method's own."""


class _UnknownError(Exception):
    """Part of a class is not in the source files, such as a base class that a call makes."""


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
    except (_UnknownError, UsageError):
        return None


def _of_method(module: str, name: str) -> set[str]:
    """Fields of a class of methods."""
    configs = [found for found in (_attribute(module, name, "Config"),) if found is not None]
    sites = [_attribute(module, name, site) for site in ("features", "hidden_states")]
    found = {field for config in configs for field in _of_config(*config)}
    for site in sites:
        found |= _of_method(*site) if site is not None else set()
    bases = _base_names(module, name)
    if "MemoryMethod" in bases:
        found |= {field for config in SITE_CONFIGS for field in _of_config(*config)}
    return found | ({"site"} if bases & {"MultiSiteMethod", "MemoryMethod"} else set())


def _of_config(module: str, name: str) -> set[str]:
    """Fields of a config class and its bases."""
    if name == "BaseModel":
        return set()
    module, definition = _class(module, name)
    own = {
        statement.target.id
        for statement in definition.body
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and "ClassVar" not in ast.unparse(statement.annotation)
    }
    return own.union(*(_of_config(module, _name(base)) for base in definition.bases))


def _attribute(module: str, name: str, attribute: str) -> tuple[str, str] | None:
    """Module and name of the class that is an attribute of a class, by itself or by a base."""
    if name in {"Module", "ABC", "Generic"}:
        return None
    module, definition = _class(module, name)
    for statement in definition.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        if not any(isinstance(target, ast.Name) and target.id == attribute for target in targets):
            continue
        value = getattr(statement, "value", None)
        if value is None or (isinstance(value, ast.Constant) and value.value is None):
            return None
        return module, _name(value)
    found = (_attribute(module, _name(base), attribute) for base in definition.bases)
    return next((each for each in found if each is not None), None)


def _base_names(module: str, name: str) -> set[str]:
    """Names of all bases of a class that are defined in its own module or imported into it."""
    _, definition = _class(module, name)
    return {_name(base) for base in definition.bases}


def _name(node: ast.expr) -> str:
    """The name of a class in an expression such as ``Base``, ``module.Base`` or ``Base[T]``."""
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Name):
        return node.id
    raise _UnknownError(ast.unparse(node))


def _class(module: str, name: str) -> tuple[str, ast.ClassDef]:
    """A class by name in a module, with the module that defines it."""
    body = _body(module)
    for statement in body:
        match statement:
            case ast.ClassDef(name=own) if own == name:
                return module, statement
            case ast.Assign(targets=[ast.Name(id=own)], value=ast.Name(id=other)) if own == name:
                return _class(module, other)
    for statement in (node for top in body for node in ast.walk(top) if isinstance(node, ast.ImportFrom)):
        for alias in statement.names:
            if (alias.asname or alias.name) == name and statement.module is not None and not statement.level:
                return _class(statement.module, alias.name)
    raise _UnknownError(f"{module}.{name}")


@cache
def _body(module: str) -> list[ast.stmt]:
    """Statements of a module, which is not imported."""
    own = module.partition(".")[0] in {OWN, *own_packages.NAMES}
    place = own_packages.folder(module) if own else None
    if place is not None:
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    else:
        try:
            spec = find_spec(module)
        except (ImportError, ValueError):
            spec = None
        path = Path(spec.origin) if spec is not None and spec.origin is not None else Path()
    try:
        return ast.parse(path.read_text(encoding="utf-8")).body
    except (OSError, SyntaxError, UnicodeDecodeError):
        raise _UnknownError(module) from None
