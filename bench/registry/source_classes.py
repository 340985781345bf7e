"""Classes and their attributes, read from source files without an import."""

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from bench import own_packages
from bench.plugin import OWN

_OF_LIBRARIES = frozenset({"ABC", "BaseModel", "Generic", "Module"})
"""Base classes that define nothing of a plugin's."""


class UnknownSourceError(Exception):
    """Part of a class is not in the source files, such as a base class that a call makes."""


def value_of(module: str, name: str, attribute: str) -> tuple[str, ast.expr] | None:
    """The value of an attribute of a class, its own or that of the first base that has one.

    Args:
        module: Dotted name of a module that defines or imports the class.
        name: Name of the class.
        attribute: Name of the attribute.

    Returns:
        The defining module and the expression; None without one, and where it is None.

    Raises:
        UnknownSourceError: If a class is not in the source files.
    """
    if name in _OF_LIBRARIES:
        return None
    module, definition = class_of(module, name)
    for statement in definition.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        value = getattr(statement, "value", None)
        if value is None or not any(isinstance(target, ast.Name) and target.id == attribute for target in targets):
            continue
        return None if isinstance(value, ast.Constant) and value.value is None else (module, value)
    found = (value_of(module, name_of(base), attribute) for base in definition.bases)
    return next((each for each in found if each is not None), None)


def base_names(module: str, name: str) -> set[str]:
    """Names of the bases of a class.

    Args:
        module: Dotted name of a module that defines or imports the class.
        name: Name of the class.

    Returns:
        The names.

    Raises:
        UnknownSourceError: If the class is not in the source files.
    """
    _, definition = class_of(module, name)
    return {name_of(base) for base in definition.bases}


def name_of(node: ast.expr) -> str:
    """The name of a class in an expression such as ``Base``, ``module.Base`` or ``Base[T]``.

    Args:
        node: The expression.

    Returns:
        The name.

    Raises:
        UnknownSourceError: For another expression.
    """
    if isinstance(node, ast.Subscript):
        return name_of(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Name):
        return node.id
    raise UnknownSourceError(ast.unparse(node))


def class_of(module: str, name: str) -> tuple[str, ast.ClassDef]:
    """A class by name in a module.

    Args:
        module: Dotted name of a module that defines or imports the class.
        name: Name of the class, or a name that it is assigned to.

    Returns:
        The module that defines it, and its definition.

    Raises:
        UnknownSourceError: If the source files do not show it.
    """
    body = body_of(module)
    for statement in body:
        match statement:
            case ast.ClassDef(name=own) if own == name:
                return module, statement
            case ast.Assign(targets=[ast.Name(id=own)], value=ast.Name(id=other)) if own == name:
                return class_of(module, other)
    for statement in (node for top in body for node in ast.walk(top) if isinstance(node, ast.ImportFrom)):
        for alias in statement.names:
            if (alias.asname or alias.name) == name and statement.module is not None and not statement.level:
                return class_of(statement.module, alias.name)
    raise UnknownSourceError(f"{module}.{name}")


@cache
def body_of(module: str) -> list[ast.stmt]:
    """Statements of a module, which is not imported.

    Args:
        module: Its dotted name.

    Returns:
        The statements.

    Raises:
        UnknownSourceError: If there is no readable source file.
    """
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
        raise UnknownSourceError(module) from None
