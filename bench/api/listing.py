"""Installed plugins and shipped suites by name."""

from dataclasses import dataclass
from typing import Literal, get_args

from bench import registry
from bench.contracts.errors import UsageError, did_you_mean
from bench.plugin import OWN, Plugin

Listed = Literal["methods", "tasks", "backbones", "metrics", "suites"]


@dataclass(frozen=True)
class Entry:
    """A plugin or a suite.

    Attributes:
        name: Name for ``bench.run``; of a variant of a task, ``TASK:ARGUMENT``.
        summary: Description in one line, or the error of a plugin that cannot be used.
        origin: Distribution that ships it; "bench" for the project's own.
        sites: Sites of a method with a choice of them.
    """

    name: str
    summary: str
    origin: str
    sites: tuple[str, ...] = ()


def available(what: Listed) -> list[Entry]:
    """List the names that are available, without importing a plugin.

    Args:
        what: "methods", "tasks", "backbones", "metrics" or "suites".

    Returns:
        The entries by name; variants of a task follow the task.

    Raises:
        UsageError: For another kind of name, and for two plugins of one name.

    Example:
        >>> [entry.name for entry in bench.available("metrics")]  # doctest: +SKIP
    """
    if what not in get_args(Listed):
        raise did_you_mean("kind of name", str(what), get_args(Listed))
    if what == "suites":
        from bench.spec.suite import load_suite, suite_paths

        return [Entry(name, load_suite(name).description, OWN) for name in suite_paths()]
    return [entry for plugin in registry.find(what).values() for entry in _entries(what, plugin)]


def _entries(what: registry.Group, plugin: Plugin) -> list[Entry]:
    try:
        summary = plugin.summary()
        sites = tuple(site.value for site in plugin.sites()) if what == "methods" else ()
        variants = plugin.variants() if what == "tasks" else {}
    except UsageError as error:  # one broken package hides no other plugin
        return [Entry(plugin.name, f"cannot be used: {error}", plugin.origin)]
    named = [Entry(f"{plugin.name}:{argument}", text, plugin.origin) for argument, text in variants.items()]
    return [Entry(plugin.name, summary, plugin.origin, sites), *named]
