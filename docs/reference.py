"""References of methods, tasks, backbones and metrics, made from the plugins: ``python docs/reference.py``.

``tests/test_reference.py`` fails where a committed page is not the one that this script makes.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import registry
from bench.api.descriptions import Description, describe
from bench.plugin import OWN
from bench.reports.markdown import markdown_text

DOCS = Path(__file__).parent
INTRODUCTIONS: dict[registry.Group, str] = {
    "methods": "Every method with its family, kinds of task, paper, and fields with defaults, bounds and ranges. "
    "[Methods and their protocols](methods.md) says what each does by default, [Choosing](choosing.md) which to take.",
    "tasks": "Every task with its data, protocol and licence. [A task](add-a-task.md) says how to add one, "
    "[Your own data](own-data.md) how to use data without one.",
    "backbones": "Every backbone with its weights, their licence and size. [A backbone](add-a-backbone.md) says how "
    "to add one.",
    "metrics": "Every metric. [A metric](add-a-metric.md) says how to add one.",
}


def path_of(group: registry.Group) -> Path:
    """The page of a kind of plugin."""
    return DOCS / f"reference-{group}.md"


def page(group: registry.Group) -> str:
    """The content of a page: this project's own plugins, by name."""
    found = [describe(group, plugin) for plugin in registry.find(group).values() if plugin.origin == OWN]
    lines = [f"# {group.capitalize()}", "", "<!-- Made by docs/reference.py: change the plugins, and run it again. -->"]
    lines += ["", f"{INTRODUCTIONS[group]} `bench show NAME` prints the same."]
    return "\n".join([*lines, *(line for each in found for line in _section(each))]) + "\n"


def _section(found: Description) -> Iterator[str]:
    """The part of a page on one plugin."""
    yield from ("", f"## {found.name}", "", _cell(found.summary), "")
    yield from _table(("", ""), [*found.facts.items()])
    if found.variants:
        yield ""
        yield from _table(("variant", ""), [(f"{found.name}:{name}", text) for name, text in found.variants.items()])
    for site, fields in found.fields.items():
        if fields:
            yield from ("", f"Fields at {site}:" if site else "Fields:", "")
            rows = [(each.name, each.default, each.values, each.search or "-", each.description) for each in fields]
            yield from _table(("field", "default", "values", "search", "meaning"), rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    yield from (f"| {' | '.join(map(_cell, row))} |" for row in rows)


def _cell(text: str) -> str:
    """A text as Markdown; what a docstring marks as code is code."""

    def code(found: re.Match[str]) -> str:
        return found[0] if "&" in found[1] else f"`{found[1].replace('<!-- -->', '')}`"

    return re.sub(r"(?:&#96;){2}(.+?)(?:&#96;){2}", code, markdown_text(text)) or " "


if __name__ == "__main__":
    for group in INTRODUCTIONS:
        path_of(group).write_text(page(group), encoding="utf-8")
        sys.stdout.write(f"{path_of(group)}\n")
