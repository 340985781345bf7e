"""Find a plugin by its file name, or by entry point.

A plugin is a module with a ``PLUGIN`` class. Names are listed without importing anything, so that
``bench list`` and ``bench --help`` stay fast.
"""

import ast
import pkgutil
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from bench import own_packages
from bench.contracts.errors import UsageError, did_you_mean
from bench.contracts.kinds import DEFAULT_METRICS
from bench.contracts.validation import validated
from bench.toolkit.extras import missing_extra

if TYPE_CHECKING:
    from bench.contracts import Backbone, Method, MethodConfig, Metric, Task

Group = Literal["methods", "tasks", "backbones", "metrics"]
FOLDERS: dict[Group, str] = {
    "methods": "methods", "tasks": "tasks", "backbones": "bench.backbones", "metrics": "bench.metrics"
}  # fmt: skip
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
        path = self.path()
        try:
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        except (SyntaxError, UnicodeDecodeError) as error:
            raise UsageError(f"plugin {self.name!r} of {self.origin} is no Python: {path}: {error}") from None
        return text.partition("\n")[0]

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
    """The plugin called ``name``. Raises UsageError with the closest name if there is none."""
    found = find(group)
    if name not in found:
        raise did_you_mean(group, name, found)
    return found[name]


def task_class(name: str) -> "type[Task]":
    """The task plugin called ``name``."""
    return cast("type[Task]", get("tasks", name).load())


def method_class(name: str) -> "type[Method]":
    """The method plugin called ``name``."""
    return cast("type[Method]", get("methods", name).load())


def make_metric(name: str) -> "Metric":
    """The metric called ``name``.

    Raises:
        UsageError: No installed package has it.
    """
    return cast("type[Metric]", get("metrics", name).load())(name)


def metric_of(task: "Task | type[Task]") -> "Metric":
    """The metric of a task: the one it names, or the default of its kind.

    Raises:
        UsageError: No installed package has the metric, or it does not score tasks of this kind.
    """
    metric = make_metric(task.metric or DEFAULT_METRICS[task.kind])
    if task.kind not in metric.kinds:
        serves = ", ".join(sorted(metric.kinds))
        raise UsageError(f"the metric {metric.name} scores {serves}, and the task is {task.kind}; name another metric")
    return metric


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
