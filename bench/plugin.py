"""Plugin: where it is, and what its source declares, read without an import."""

import ast
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from bench import own_packages
from bench.contracts.errors import UsageError
from bench.contracts.site import Site
from bench.toolkit.extras import missing_extra

OWN = "bench"
"""Origin of the project's own plugins."""


@dataclass(frozen=True)
class Plugin:
    """An installed plugin.

    Attributes:
        name: Name for users.
        module: Dotted name of the module.
        attribute: Name of the class in the module.
        origin: Distribution that ships it; OWN for the project's own plugins.
    """

    name: str
    module: str
    attribute: str
    origin: str

    def path(self) -> Path:
        """Path of the plugin's source file; the file is not run.

        Returns:
            The path.

        Raises:
            UsageError: If the module is not installed.
        """
        if self.origin == OWN:
            place = own_packages.folder(self.module)
            return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        try:
            spec = find_spec(self.module)
        except ModuleNotFoundError:  # not even its package is there
            spec = None
        if spec is None or spec.origin is None:
            raise UsageError(
                f"plugin {self.name!r} of {self.origin} names a module that is not installed: {self.module}"
            )
        return Path(spec.origin)

    def summary(self) -> str:
        """First line of the module's docstring."""
        return (ast.get_docstring(self._parsed()) or "").partition("\n")[0]

    def variants(self) -> dict[str, str]:
        """Arguments in a task's ``variants``, read without an import.

        Returns:
            Summaries by argument.

        Raises:
            UsageError: If ``variants`` is not a literal.
        """
        classes = [node for node in self._parsed().body if isinstance(node, ast.ClassDef)]
        for statement in (each for definition in classes for each in definition.body):
            match statement:
                case ast.AnnAssign(target=ast.Name(id="variants"), value=ast.expr() as value):
                    pass
                case ast.Assign(targets=[ast.Name(id="variants")], value=value):
                    pass
                case _:
                    continue
            try:
                return cast("dict[str, str]", ast.literal_eval(value))
            except ValueError:
                place = f"{self.path()}:{value.lineno}"
                raise UsageError(f"variants must be a literal with a text for each argument: {place}") from None
        return {}

    def sites(self) -> tuple[Site, ...]:
        """Sites of a method with a choice of them, read without an import."""
        body = self._parsed().body
        value = _assignments(body).get(self.attribute)
        name = value.id if isinstance(value, ast.Name) else self.attribute
        definition = next((node for node in body if isinstance(node, ast.ClassDef) and node.name == name), None)
        bases = {ast.unparse(base).rpartition(".")[2] for base in definition.bases} if definition else set[str]()
        if definition is None or not bases & {"MultiSiteMethod", "MemoryMethod"}:
            return ()
        served = {site: ast.unparse(value) != "None" for site, value in _assignments(definition.body).items()}
        return tuple(site for site in Site if served.get(site, "MemoryMethod" in bases))

    def _parsed(self) -> ast.Module:
        path = self.path()
        try:
            return _tree(path, path.stat().st_mtime_ns)
        except OSError as error:
            raise UsageError(
                f"plugin {self.name!r} of {self.origin} cannot be read: {path}: {error.strerror}"
            ) from None
        except (SyntaxError, UnicodeDecodeError) as error:
            raise UsageError(f"plugin {self.name!r} of {self.origin} is no Python: {path}: {error}") from None

    def load(self) -> Any:
        """Import the plugin's class.

        Returns:
            The class.

        Raises:
            UsageError: If the module cannot be imported or has no such class.
        """
        try:
            is_new = self.module not in sys.modules
            with own_packages.first() if self.origin == OWN and is_new else nullcontext():
                module = import_module(self.module)
        except (ImportError, SyntaxError) as error:
            advice = missing_extra(error) if isinstance(error, ImportError) else None
            raise UsageError(f"plugin {self.name!r} ({self.origin}) cannot be imported: {advice or error}") from error
        if not hasattr(module, self.attribute):
            raise UsageError(
                f"{self.module} is no plugin: it needs a module-level name {self.attribute!r} that holds the class"
            )
        return getattr(module, self.attribute)


@cache
def _tree(path: Path, changed: int) -> ast.Module:
    """The syntax of a file as it was at a time of change."""
    return ast.parse(path.read_text(encoding="utf-8"))


def _assignments(body: list[ast.stmt]) -> dict[str, ast.expr]:
    """Names that a module or class assigns, with the expressions."""
    return {
        target.id: node.value
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
