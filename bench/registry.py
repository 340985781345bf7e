"""Find a plugin by its file name, or by entry point.

A plugin is a module with a ``PLUGIN`` class. Names are listed without importing anything, so that
``bench list`` and ``bench --help`` stay fast.
"""

import ast
import pkgutil
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from bench import own_packages
from bench.contracts.errors import UsageError, did_you_mean
from bench.contracts.kinds import PromptStyle
from bench.contracts.validation import validated
from bench.toolkit.extras import missing_extra

if TYPE_CHECKING:
    from bench.contracts import Backbone, Method, MethodConfig, Task

Group = Literal["methods", "tasks", "backbones"]
FOLDERS: dict[Group, str] = {"methods": "methods", "tasks": "tasks", "backbones": "bench.backbones"}
OWN = "bench"
"""Origin of the project's own plugins."""


@dataclass(frozen=True)
class Plugin:
    """Where a plugin was found. ``module`` can be imported; ``origin`` says who ships it."""

    name: str
    module: str
    attribute: str
    origin: str

    def path(self) -> Path:
        """The plugin's source file, found without running it."""
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
        """Arguments that a task declares as ``variants``, with their summaries; read without importing it."""
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

    def _parsed(self) -> ast.Module:
        path = self.path()
        try:
            return ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError) as error:
            raise UsageError(f"plugin {self.name!r} of {self.origin} is no Python: {path}: {error}") from None

    def load(self) -> Any:
        """Import the plugin's class."""
        try:
            with own_packages.first() if self.origin == OWN else nullcontext():
                module = import_module(self.module)
        except (ImportError, SyntaxError) as error:
            advice = missing_extra(error) if isinstance(error, ImportError) else None
            raise UsageError(f"plugin {self.name!r} ({self.origin}) cannot be imported: {advice or error}") from error
        if not hasattr(module, self.attribute):
            raise UsageError(
                f"{self.module} is no plugin: it needs a module-level name {self.attribute!r} that holds the class"
            )
        return getattr(module, self.attribute)


def _from_entry_point(point: EntryPoint) -> Plugin:
    distribution = point.dist.name if point.dist else "an unknown package"
    return Plugin(point.name, point.module, point.attr or "PLUGIN", distribution)


@cache
def find(group: Group) -> dict[str, Plugin]:
    """Every plugin of a group by name, this project's own and those of installed packages.

    Raises UsageError if two packages give the same name.
    """
    folder = FOLDERS[group]
    found = {
        module.name: Plugin(module.name, f"{folder}.{module.name}", "PLUGIN", OWN)
        for module in pkgutil.iter_modules([str(own_packages.folder(folder))])
        if not module.name.startswith("_")
    }
    for point in entry_points(group=f"bench.{group}"):
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
        Where the plugin was found.

    Raises:
        UsageError: For an unknown name, with the closest known one.
    """
    found = find(group)
    plugin = name.partition(":")[0]
    if plugin not in found:
        variants = task_variants() if group == "tasks" else []
        raise did_you_mean(group, name, [*found, *variants])
    return found[plugin]


def task_class(name: str) -> "type[Task]":
    """The task plugin of ``name`` or ``name:argument``."""
    return cast("type[Task]", get("tasks", name).load())


def task_variants() -> list[str]:
    """Names of all tasks with an argument, found without importing anything; broken plugins are left out."""
    names = []
    for name, plugin in find("tasks").items():
        with suppress(UsageError):
            names += [f"{name}:{argument}" for argument in plugin.variants()]
    return names


def task_argument(name: str) -> tuple[str, ...]:
    """The argument of a task's name.

    Args:
        name: ``name`` or ``name:argument``.

    Returns:
        The text after the colon; nothing without a colon, or where it names the default variant.

    Raises:
        UsageError: For an argument that is unknown or missing, or that the task does not take.
    """
    plugin, colon, argument = name.partition(":")
    variants = get("tasks", plugin).variants()
    known = f"its variants are {', '.join(f'{plugin}:{each}' for each in variants)}"
    if colon and variants and argument not in variants:
        close = get_close_matches(argument, variants, n=1)
        guess = f" did you mean '{plugin}:{close[0]}'?" if close else ""
        raise UsageError(f"task {plugin} has no variant {argument!r};{guess} {known}")
    given = (argument,) if colon else ()
    wanted = signature(task_class(plugin))
    try:
        taken = wanted.bind(*given).arguments
    except TypeError:
        if given:
            raise UsageError(f"task {plugin} takes no argument: use {plugin}, got {name!r}") from None
        raise UsageError(f"task {plugin} needs an argument: use {plugin}:ARGUMENT; {known}") from None
    is_default = any(wanted.parameters[parameter].default == value for parameter, value in taken.items())
    return () if is_default else given


def task_name(name: str) -> str:
    """The one spelling of a task's name: without the argument where this is the default variant."""
    return ":".join((name.partition(":")[0], *task_argument(name)))


def make_task(name: str, prompt: PromptStyle = "plain") -> "Task":
    """A task by its name.

    Args:
        name: ``name`` or ``name:argument``.
        prompt: How its prompts are put together.

    Returns:
        The task, its data not loaded yet.

    Raises:
        UsageError: For an unknown name or argument, with the closest known one; for an argument that is missing or
            that the task does not take; for a prompt style that does not suit the kind of task.
    """
    task = task_class(name)(*task_argument(name))
    if prompt == "plain":
        return task
    from bench.toolkit.chat import CHAT_KINDS, ChatTask  # imports the library of data sets

    if task.kind not in CHAT_KINDS:
        raise UsageError(f"prompt {prompt} needs a task of {' or '.join(CHAT_KINDS)}; {name} is {task.kind}")
    return ChatTask(task)


def method_class(name: str) -> "type[Method]":
    """The method plugin called ``name``."""
    return cast("type[Method]", get("methods", name).load())


def backbone_class(name: str) -> "type[Backbone]":
    """The backbone plugin of ``name`` or ``name:argument``."""
    return cast("type[Backbone]", get("backbones", name.partition(":")[0]).load())


def make_backbone(name: str) -> "Backbone":
    """An instance of ``name`` or ``name:argument``, frozen and in evaluation mode."""
    return backbone_class(name)(*backbone_argument(name)).eval().requires_grad_(False)


def backbone_argument(name: str) -> tuple[str, ...]:
    """What follows the colon in ``name``. Raises UsageError if the backbone takes nothing there, or needs it."""
    plugin, _, argument = name.partition(":")
    given = (argument,) if argument else ()
    try:
        signature(backbone_class(name)).bind(*given)
    except TypeError:
        wanted = f"no argument: use {plugin}" if given else f"an argument: use {plugin}:ARGUMENT"
        raise UsageError(f"backbone {plugin} needs {wanted}, got {name!r}") from None
    return given


def method_config(name: str, values: dict[str, Any]) -> "MethodConfig":
    """The validated config of a method. Raises UsageError with the nearest field name."""
    return validated(method_class(name).Config, values, f"method {name}")
