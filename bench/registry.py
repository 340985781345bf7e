"""Plugins by file name or entry point, and methods by name, kind of task and config.

A plugin is a module with a ``PLUGIN`` class. Names are listed without importing anything, so that
``bench list`` and ``bench --help`` stay fast.
"""

import pkgutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal, cast

from bench import own_packages
from bench.contracts.errors import UsageError, did_you_mean
from bench.contracts.kinds import DEFAULT_METRICS, Kind, PromptStyle
from bench.contracts.site import MultiSiteMethod, Site, name_at_site
from bench.contracts.validation import validated
from bench.plugin import OWN, Plugin

if TYPE_CHECKING:
    from bench.contracts import Backbone, Method, MethodConfig, Metric, Task

Group = Literal["methods", "tasks", "backbones", "metrics"]
OLD_NAMES: dict[str, tuple[str, dict[str, str]]] = {
    f"{name}_lm": (name, {"site": Site.HIDDEN_STATES.value})
    for name in ("faast", "hebbian", "linear_projection", "ridge", "softmax_memory")
}
"""Methods of the first edition, which had a name for each site: their present names and the fields that they imply."""
OLD_FIELDS = {"prior_count": "prior_strength"}
"""Config fields of the first edition with their present names."""
FOLDERS: dict[Group, str] = {
    "methods": "methods", "tasks": "tasks", "backbones": "bench.backbones", "metrics": "bench.metrics"
}  # fmt: skip


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


def method_name(name: str) -> tuple[str, Site | None]:
    """The method and the site that a user's name for a method stands for.

    Args:
        name: A plugin's name, ``NAME@SITE``, or a name of the first edition such as ``faast_lm``.

    Returns:
        The plugin's name, and the site if the name says one.

    Raises:
        UsageError: For an unknown site.
    """
    base, at, site = name.partition("@")
    if base in OLD_NAMES and base not in find("methods"):
        present, implied = OLD_NAMES[base]
        return present, _site(present, site if at else implied["site"])
    return base, _site(base, site) if at else None


def method_class(name: str) -> "type[Method]":
    """The class of a method.

    Args:
        name: As for ``method_name``; without a site, the first that the method serves.

    Returns:
        The class that is instantiated.

    Raises:
        UsageError: For an unknown name, or a site that the method does not serve.
    """
    base, site = method_name(name)
    found = get("methods", base).load()
    if isinstance(found, type) and issubclass(found, MultiSiteMethod):
        return found.at(site or found.sites()[0])
    if site is not None:
        raise UsageError(f"{base} has no choice of sites, got site={site}; leave it out")
    return cast("type[Method]", found)


def names_by_site(name: str) -> list[str]:
    """The names of a method at each of its sites: ``NAME`` at the first, ``NAME@SITE`` at the others.

    Args:
        name: A plugin's name.

    Returns:
        Names for ``method_class``; the plugin's own name alone for a method without a choice of sites.
    """
    found = get("methods", name).load()
    multiple = isinstance(found, type) and issubclass(found, MultiSiteMethod)
    return [name, *(f"{name}@{site}" for site in found.sites()[1:])] if multiple else [name]


@dataclass(frozen=True)
class ResolvedMethod:
    """A method as a run has it.

    Attributes:
        name: The plugin's name.
        site: Where it stands; None for a method without a choice of sites.
        method: The class that is instantiated.
        config: The validated config.
        fields: The config's fields as they were given, under their present names.
        settings: ``fields`` with the site where it is not the default, as a record keeps them.
    """

    name: str
    site: Site | None
    method: "type[Method]"
    config: "MethodConfig"
    fields: dict[str, Any]
    settings: dict[str, Any]


def resolve_method(name: str, kind: Kind, values: Mapping[str, Any]) -> ResolvedMethod:
    """Look up a method for a kind of task and validate its config.

    Args:
        name: As for ``method_name``.
        kind: Kind of the task; it decides the site where neither ``name`` nor ``values`` does.
        values: Fields of the config, and ``site``.

    Returns:
        The method's class and config. The class need not serve the kind, unless the user named a site.

    Raises:
        UsageError: For an unknown name or field, with the closest known one; for a site that the method does not
            serve, at all or on this kind of task, with those it serves.
    """
    base, wanted = method_name(name)
    fields = dict(values)
    given = fields.pop("site", None)
    if given is not None:
        site = _site(base, given)
        if wanted not in {None, site}:
            raise UsageError(f"{name} stands at {wanted}, got site={site}; use {base} with the site alone")
        wanted = site
    found = get("methods", base).load()
    if not (isinstance(found, type) and issubclass(found, MultiSiteMethod)):
        method = method_class(name if wanted is None else f"{base}@{wanted}")
        fields = _present_fields(base, method, fields)
        return ResolvedMethod(base, None, method, validated(method.Config, fields, f"method {base}"), fields, fields)
    default = found.default_site(kind)
    site = wanted or default
    method = found.at(site)
    if wanted is not None and kind not in method.kinds:
        there = [each for each in found.sites() if kind in found.at(each).kinds]
        raise UsageError(f"{base} has no site {site} on {kind}; its sites there: {', '.join(there) or 'none'}")
    fields = _present_fields(base, method, fields)
    elsewhere = {} if site is default else {"site": site.value}
    config = validated(method.Config, fields, f"method {name_at_site(base, elsewhere)}")
    settings = elsewhere | fields
    return ResolvedMethod(base, site, method, config, fields, settings)


def _site(method: str, text: Any) -> Site:
    if text not in set(Site):
        raise UsageError(f"{method} needs one of the sites {', '.join(Site)}, got {text!r}")
    return Site(text)


def _present_fields(name: str, method: "type[Method]", values: dict[str, Any]) -> dict[str, Any]:
    """Fields of a config with names of the first edition replaced."""
    present = {}
    for field, value in values.items():
        renamed = OLD_FIELDS.get(field, field) if field not in method.Config.model_fields else field
        if renamed in present:
            raise UsageError(f"method {name}: {field} is given twice, by its present and its old name; leave one out")
        present[renamed] = value
    return present


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
