"""Shell completion: names of plugins, suites, claims and fields for what was typed so far; nothing heavy is imported.

Each function takes the beginning of a word and returns words with a description each; Typer filters and prints them.
"""

from collections.abc import Callable, Iterable

import typer

from bench import api
from bench.api.formats import Listed
from bench.runs.trackers import CHOICES

Words = list[tuple[str, str]]
Complete = Callable[[str], Words]


def names(what: Listed) -> Complete:
    """Completion by names, also behind a comma.

    Args:
        what: Kind of the names.

    Returns:
        The function.
    """

    def complete(incomplete: str) -> Words:
        return _in_list(incomplete, ((entry.name, entry.summary) for entry in api.available(what)))

    return complete


def values(*known: str) -> Complete:
    """Completion by fixed values.

    Args:
        *known: The values.

    Returns:
        The function.
    """

    def complete(incomplete: str) -> Words:
        return [(value, "") for value in known]

    return complete


def plugins(incomplete: str) -> Words:
    """Names of methods, tasks, backbones and metrics."""
    from bench import registry

    return [(name, "") for group in registry.FOLDERS for name in registry.find(group)]


def suites(incomplete: str) -> Words:
    """Names of suites."""
    from bench.spec.suite import suite_paths

    return [(name, "") for name in suite_paths()]


def claims(incomplete: str) -> Words:
    """Names of claims, and of sets of them."""
    from bench.spec.claim import claim_paths

    paths = list(claim_paths())
    return [(name, "") for name in [*dict.fromkeys(name.partition("/")[0] for name in paths), *paths]]


def settings(ctx: typer.Context, incomplete: str) -> Words:
    """``METHOD.FIELD=`` for the methods that the command names, or for any."""
    from bench import registry
    from bench.spec.list_texts import read_names

    chosen = read_names(ctx.params.get("method") or [])
    if not chosen and "." not in incomplete.rpartition(",")[2]:
        return _in_list(incomplete, ((f"{name}.", "") for name in registry.find("methods")))
    found = chosen or [incomplete.rpartition(",")[2].partition(".")[0]]
    return _in_list(incomplete, ((f"{name}.{field}=", "") for name in found for field in _fields(name)))


def fields(ctx: typer.Context, incomplete: str) -> Words:
    """``FIELD=`` of the method that the command names."""
    method = str(ctx.params.get("method") or "")
    return _in_list(incomplete, ((f"{field}=", "") for field in _fields(method)))


def limits(incomplete: str) -> Words:
    """``AXIS=`` of a budget."""
    from bench.spec.axes import LIMITED

    return _in_list(incomplete, ((f"{name}=", axis.unit) for name, axis in LIMITED.items()))


def presets(incomplete: str) -> Words:
    """Names of presets."""
    from bench.spec.presets import preset_paths

    return [(name, "") for name in preset_paths()]


tasks, methods, backbones = names("tasks"), names("methods"), names("backbones")
loggers = values(*CHOICES)


def _fields(method: str) -> list[str]:
    """Names of a method's fields; none for an unknown method."""
    from bench import registry

    base = method.partition("@")[0]
    return sorted(registry.config_fields(base) or ()) if base in registry.find("methods") else []


def _in_list(incomplete: str, words: Iterable[tuple[str, str]]) -> Words:
    """Words behind the last comma of what was typed."""
    before, comma, _ = incomplete.rpartition(",")
    return [(f"{before}{comma}{word}", text) for word, text in words]
