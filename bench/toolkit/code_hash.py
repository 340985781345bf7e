"""Hash of a plugin's code: of its computation, without wording, layout and names of modules."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from bench.contracts.kinds import FAMILIES

PLUGIN_PACKAGES = ("methods", "tasks", "bench.backbones", "bench.metrics")
"""Packages of plugin code. The rest of this project is covered by PROTOCOL in ``bench.toolkit.versions``."""
_REFERENCES = {"citation", "size", "source"}
"""Class attributes that hold a reference to the literature, or the size of data in words, where they are a text of
several words."""
_FAMILY = "family"
"""Class attribute that lists of methods show where it is one of ``FAMILIES``."""
_TEMPLATES, _TEXT = "templates", "{text}"
"""Class attribute of the forms of a task's prompts, a literal, and what each of them holds. The identity of a run has
the text of its own form."""
_HELP = {"description", "help"}
"""Keyword arguments that hold help texts."""
_LOG_CALLS = {"critical", "debug", "error", "exception", "info", "log", "warn", "warning"}
_LOGGERS = {"log", "logger", "logging", "warnings"}


@cache
def code_hash(module: str) -> str:
    """Hash of the code of a plugin's module and of the plugin code that it imports.

    Modules of ``PLUGIN_PACKAGES`` and of the module's own package are followed through their imports, those of the
    harness and of libraries are not. Not part of the hash: comments, layout, docstrings and other bare strings, the
    texts of errors, assertions, warnings and log messages, help texts, references to the literature, sizes of data in
    words, families of methods, templates of tasks, type annotations of functions, imports of unused names, and the
    names of modules.

    Args:
        module: Dotted name of the module; it is read, not imported.

    Returns:
        16 hexadecimal digits.

    Raises:
        ModuleNotFoundError: If there is no such module with Python source.
    """
    top = module.partition(".")[0]
    packages = PLUGIN_PACKAGES if top == "bench" else (*PLUGIN_PACKAGES, top)
    waiting, read = [module], dict[str, _Module]()
    while waiting:
        name = waiting.pop()
        if name not in read and (found := _read(name)) is not None:
            read[name] = found
            waiting += [each for imported in found.imports for each in imported.modules if _within(each, packages)]
    if module not in read:
        raise ModuleNotFoundError(f"the hash of a plugin's code needs its Python source, and {module} has none")
    # By content, so that another name or place of a module changes nothing.
    return _digest(sorted(_digest([each.body, sorted(_links(each, read))]) for each in read.values()))


class _Import:
    """A name that an import statement binds.

    Attributes:
        modules: Modules that the statement may import, the most specific first.
        module: The module after ``import`` or ``from``.
        attribute: Name of the imported attribute, empty for the module itself.
        bound: The name in the importing module.
    """

    def __init__(self, module: str, attribute: str, bound: str) -> None:
        self.modules = (f"{module}.{attribute}", module) if attribute else (module,)
        self.module, self.attribute, self.bound = module, attribute, bound


class _Module:
    """A module's code, its imports, and those of them whose names the code uses."""

    def __init__(self, tree: ast.Module, package: str) -> None:
        self.imports = list(_imports(tree, package))
        stripped = _Stripped().visit(tree)
        used = {node.id for node in ast.walk(stripped) if isinstance(node, ast.Name)}
        self.body = _digest(_plain(stripped))
        self.used = [each for each in self.imports if each.bound in used or each.attribute == "*"]


def _links(module: _Module, read: dict[str, _Module]) -> Iterator[str]:
    """Targets of a module's used imports: the content of plugin code, the name of anything else."""
    for each in module.used:
        known = next((name for name in each.modules if name in read), None)
        if known is not None:
            attribute = each.attribute if known == each.module else ""
            yield repr((read[known].body, attribute, each.bound))
        elif _within(each.module, ("bench",)):
            yield repr(("bench", each.attribute, each.bound))  # modules of the harness may be renamed
        else:
            yield repr((each.module, each.attribute, each.bound))


def _within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _find(module: str) -> ModuleSpec | None:
    """Location of a module; packages above it are imported, the module is not."""
    above = module.rpartition(".")[0]
    if above and ((package := _find(above)) is None or not package.submodule_search_locations):
        return None
    try:
        return find_spec(module)
    except (ModuleNotFoundError, ValueError):
        return None


def _read(module: str) -> _Module | None:
    """A module from its source; None where there is none."""
    spec = _find(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    path = Path(spec.origin)
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    return _parsed(path.read_text(encoding="utf-8"), package)


@cache
def _parsed(source: str, package: str) -> _Module:
    """A module by its source: plugins share most of the modules that they import."""
    return _Module(ast.parse(source), package)


def _imports(node: ast.AST, package: str) -> Iterator[_Import]:
    """Every import of a module of ``package`` that is ever run, those inside functions included."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield _Import(alias.name, "", alias.asname or alias.name.partition(".")[0])
    elif isinstance(node, ast.ImportFrom):
        module = resolve_name("." * node.level + (node.module or ""), package)
        for alias in node.names:
            yield _Import(module, alias.name, alias.asname or alias.name)
    elif not _is_for_types(node):
        for child in ast.iter_child_nodes(node):
            yield from _imports(child, package)


class _Stripped(ast.NodeTransformer):
    """Removes texts and imports from a module, so that its computation remains."""

    def __init__(self) -> None:
        self.functions = 0

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) or _is_log_call(node.value):
            return None
        return self.generic_visit(node)

    def visit_Pass(self, node: ast.Pass) -> None:
        return None

    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if _is_for_types(node) else self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        node.msg = None
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        self.generic_visit(node)
        return _WithoutTexts().visit(node) if isinstance(node.exc, ast.Call) else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        node.keywords = [keyword for keyword in node.keywords if keyword.arg not in _HELP]
        # An error that a function returns for its caller to raise.
        return (
            _WithoutTexts().visit(node) if _last_name(node.func).endswith(("Error", "Exception", "Warning")) else node
        )

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        self.functions += 1
        self.generic_visit(node)
        self.functions -= 1
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        # In a class an annotation can be a field of a config, with its bounds.
        if not self.functions:
            return self.generic_visit(node)
        if node.value is None:
            return None
        return self.generic_visit(ast.Assign([node.target], node.value))

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = [each for each in node.body if not _is_reference(each)]
        functions, self.functions = self.functions, 0
        self.generic_visit(node)
        self.functions = functions
        return node


class _WithoutTexts(ast.NodeTransformer):
    """Empties every text."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant("")


def _is_for_types(node: ast.AST) -> bool:
    """Whether a statement is for type checkers alone."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _is_reference(node: ast.stmt) -> bool:
    """Whether a statement of a class only defines a reference, the family of a method, or forms of prompts."""
    match node:
        case ast.Assign([ast.Name(name)], ast.Constant(str(text))) | ast.AnnAssign(
            ast.Name(name), _, ast.Constant(str(text))
        ):
            return (name in _REFERENCES and " " in text) or (name == _FAMILY and text in FAMILIES)
        case ast.Assign([ast.Name(name)], ast.Tuple(forms)):
            return name == _TEMPLATES and all(_is_template(form) for form in forms)
    return False


def _is_template(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and _TEXT in node.value


def _is_log_call(node: ast.expr) -> bool:
    """Whether an expression warns or logs by a logger or module of a usual name."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    return node.func.attr in _LOG_CALLS and _last_name(node.func.value).lower().strip("_") in _LOGGERS


def _last_name(node: ast.expr) -> str:
    """The name of a variable or attribute; empty for other expressions."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _plain(node: Any) -> Any:
    """A syntax tree as nested tuples, the same in every version of Python: fields that are not set are left out."""
    if isinstance(node, ast.AST):
        fields = [(name, _plain(value)) for name, value in ast.iter_fields(node) if name not in {"ctx", "kind"}]
        return type(node).__name__, *(field for field in fields if field[1] not in (None, ()))
    return tuple(map(_plain, node)) if isinstance(node, list) else repr(node) if node is not None else None


def _digest(content: Any) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]
