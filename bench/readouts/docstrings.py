"""Documentation of installed packages as a training corpus: the docstrings of their modules."""

import ast
import inspect
import sysconfig
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from bench.contracts import DataError

PREFIX = "docstrings:"
"""What the name of such a corpus begins with; names of packages follow, separated by commas."""
STDLIB = "stdlib"
"""Name of Python's standard library among packages."""
LEFT_OUT = {
    "tests", "test", "testing", "_vendor", "idlelib", "lib2to3", "ensurepip", "pydoc_data", "site-packages",
    "dist-packages",
}  # fmt: skip
"""Folders without documentation of their own; pydoc_data is the text of the task pydoc_text."""
LARGEST = 500_000
"""Bytes of a module from which on it is data rather than code."""
SHORTEST = 120
"""Characters of a docstring that says something."""
BETWEEN = "\n\n\n"


def package_texts(names: str) -> tuple[str, ...]:
    """The docstrings of packages, a text for each folder of modules.

    A module's docstrings stand in its order, each after the name of its class or function. Nothing is imported.

    Args:
        names: Names of packages, separated by commas; ``stdlib`` for Python's own.

    Returns:
        Texts in the order of the packages and of their folders.

    Raises:
        DataError: If a package is not installed, or the packages have no docstring of a sentence or two.
    """
    texts = tuple(text for name in names.split(",") for text in _folders(_folder(name.strip())))
    if not texts:
        raise DataError(f"--corpus {PREFIX}{names} has no docstring of {SHORTEST} characters or more")
    return texts


def _folder(name: str) -> Path:
    if name == STDLIB:
        return Path(sysconfig.get_paths()["stdlib"])
    spec = find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"--corpus {PREFIX}... needs names of installed packages or {STDLIB}, got {name!r}")
    return Path(next(iter(spec.submodule_search_locations)))


def _folders(root: Path) -> Iterator[str]:
    modules: dict[Path, list[Path]] = {}
    for path in sorted(root.rglob("*.py")):
        if not LEFT_OUT.intersection(path.relative_to(root).parts[:-1]):
            modules.setdefault(path.parent, []).append(path)
    for paths in modules.values():
        found = [text for path in paths for text in module_docstrings(path)]
        if found:
            yield BETWEEN.join(found)


def module_docstrings(path: Path) -> list[str]:
    """The docstrings of one module.

    Args:
        path: Its file.

    Returns:
        Docstrings of some length in the order of the module, each after the name of its class or function; none of a
        file that this Python cannot read.
    """
    try:
        if path.stat().st_size > LARGEST:
            return []
        with warnings.catch_warnings(action="ignore"):  # modules warn of their own escapes
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return []
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        text = ast.get_docstring(node, clean=False)
        if text is not None and len(text := inspect.cleandoc(text).strip()) >= SHORTEST:
            found.append((0, text) if isinstance(node, ast.Module) else (node.lineno, f"{node.name}\n\n{text}"))
    return [text for _, text in sorted(found)]
