"""Installed plugins, and shipped suites and claims, by name."""

from dataclasses import dataclass
from typing import get_args

from bench import registry
from bench.api.formats import Listed
from bench.contracts.errors import UsageError, did_you_mean
from bench.contracts.kinds import FAMILIES, Kind
from bench.plugin import OWN, Plugin


@dataclass(frozen=True)
class Entry:
    """A plugin, a suite or a claim.

    Attributes:
        name: Name for ``bench.run``; of a variant of a task, ``TASK:ARGUMENT``.
        summary: Description in one line, or the error of a plugin that cannot be used.
        origin: Distribution that ships it; "bench" for the project's own.
        sites: Sites of a method with a choice of them.
        kinds: Kinds of task that a method, a backbone or a metric serves, and the kind of a task; none where the source
            of a plugin does not show them and nothing was selected by them.
        family: Family of a method, by what adapting is and what it costs; likewise empty.
    """

    name: str
    summary: str
    origin: str
    sites: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    family: str = ""


def available(what: Listed, *, kind: str | None = None, family: str | None = None) -> list[Entry]:
    """List the names that are available, without importing a plugin.

    Args:
        what: "methods", "tasks", "backbones", "metrics", "suites" or "claims".
        kind: Only what serves this kind of task, such as "language_modelling".
        family: Only methods of this family: "closed_form", "gradient", "memory", "context" or "none".

    Returns:
        The entries by name; variants of a task follow the task.

    Raises:
        UsageError: For another kind of name, kind of task or family, and for two plugins of one name.

    Example:
        >>> [entry.name for entry in bench.available("metrics")]  # doctest: +SKIP
    """
    if what not in get_args(Listed):
        raise did_you_mean("kind of name", str(what), get_args(Listed))
    if kind is not None and kind not in set(Kind):
        raise did_you_mean("kind of task", str(kind), list(Kind))
    if family is not None and family not in FAMILIES:
        raise did_you_mean("family of methods", str(family), FAMILIES)
    if family is not None and what != "methods":
        raise UsageError(f"families are of methods, not of {what}; leave the family out")
    if what in {"suites", "claims"} and kind is not None:
        raise UsageError(f"{what} have tasks of several kinds; leave the kind out")
    if what == "claims":
        from bench.spec.claim import claim_paths, load_claims

        return [Entry(name, claim.statement, OWN) for name in claim_paths() for claim in load_claims(name)]
    if what == "suites":
        from bench.spec.suite import load_suite, suite_paths

        return [Entry(name, load_suite(name).description, OWN) for name in suite_paths()]
    listed = [
        entry
        for plugin in registry.find(what).values()
        for entry in _entries(what, plugin, kind is not None or family is not None)
    ]
    return [entry for entry in listed if kind in {None, *entry.kinds} and family in {None, entry.family}]


def _entries(what: registry.Group, plugin: Plugin, selecting: bool) -> list[Entry]:
    try:
        summary = plugin.summary()
        sites = tuple(site.value for site in plugin.sites()) if what == "methods" else ()
        variants = plugin.variants() if what == "tasks" else {}
        kinds = tuple(kind.value for kind in sorted(registry.kinds_of(what, plugin, selecting)))
        family = (registry.family_of(plugin, selecting) or "") if what == "methods" else ""
    except UsageError as error:  # one broken package hides no other plugin
        return [Entry(plugin.name, f"cannot be used: {error}", plugin.origin)]
    named = [
        Entry(f"{plugin.name}:{argument}", text, plugin.origin, kinds=kinds) for argument, text in variants.items()
    ]
    return [Entry(plugin.name, summary, plugin.origin, sites, kinds, family), *named]
