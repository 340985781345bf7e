"""References of plugins, commands and YAML files, and JSON Schemas of suites and claims: ``python docs/reference.py``.

Plugins, commands and the classes of files describe themselves; ``tests/test_reference.py`` fails where a committed page
is not the one that this script makes.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from inspect import cleandoc
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from typer.main import get_command

from bench import registry
from bench.api.descriptions import Description, describe
from bench.cli.app import app
from bench.plugin import OWN
from bench.reports.markdown import markdown_text
from bench.spec.claim import FIXED, Claim, ClaimRuns, ClaimTest, Condition
from bench.spec.schema import claim_schema, meanings, suite_schema
from bench.spec.suite import Block, Suite
from sweeps.definition import SweepSpec
from sweeps.space import Range

DOCS = Path(__file__).parent
MADE = "<!-- Made by docs/reference.py: change {}, and run it again. -->"
INTRODUCTIONS: Mapping[registry.Group, str] = {
    "methods": "Every method with its family, kinds of task, paper, and fields with defaults, bounds and ranges. "
    "[Methods and their protocols](methods.md) says what each does by default, [Choosing](choosing.md) which to take.",
    "tasks": "Every task with its data, protocol and licence. [A task](add-a-task.md) says how to add one, "
    "[Your own data](own-data.md) how to use data without one.",
    "backbones": "Every backbone with its weights, their licence and size. [A backbone](add-a-backbone.md) says how "
    "to add one.",
    "metrics": "Every metric. [A metric](add-a-metric.md) says how to add one.",
}
FILES: Mapping[str, tuple[str, Sequence[tuple[str, type[BaseModel], Sequence[str]]]]] = {
    "Suites": (
        "`bench run FILE.yaml`; [Suites](suites.md) is the guide, with completion in editors. `task` or `sequence` is "
        "required, and `methods`.",
        (("The file", Suite, ()), ("A block", Block, ())),
    ),
    "Claims": (
        "`bench claims FILE.yaml`; [Claims](claims.md) is the guide, with completion in editors.",
        (
            ("The file", Claim, ()),
            ("A test", ClaimTest, ()),
            ("A condition", Condition, ()),
            ("Runs: a block without methods and without what changes them", ClaimRuns, FIXED),
        ),
    ),
    "Studies": (
        "`bench sweep FILE.yaml`; [Sweeps](sweeps.md) is the guide.",
        (("The file", SweepSpec, ()), ("A range of `space`", Range, ())),
    ),
}
"""Kinds of YAML file: an introduction, and its parts with a title, their class, and keys that are left out."""
_NAMES = re.compile(r"(?:-[\w-]+(?:, | / )?)+")
_TYPES = {"integer": "whole number", "number": "number", "boolean": "true or false", "string": "text", "null": "",
          "array": "list", "object": "mapping"}  # fmt: skip


def plugins(group: registry.Group) -> str:
    """The reference of a kind of plugin: this project's own, by name."""
    found = [describe(group, plugin) for plugin in registry.find(group).values() if plugin.origin == OWN]
    lines = [f"# {group.capitalize()}", "", MADE.format("the plugins")]
    lines += ["", f"{INTRODUCTIONS[group]} `bench show NAME` prints the same."]
    return _text([*lines, *(line for each in found for line in _section(each))])


def commands() -> str:
    """The reference of the command line."""
    lines = ["# Commands", "", MADE.format("bench/cli"), ""]
    lines += ["Every command with its arguments and options; `--help` behind a command prints the same. "
              "[First steps](first-steps.md) shows them at work, and [Python](api.md) has the same names."]  # fmt: skip
    return _text([*lines, *_command(get_command(app), None, "bench")])


def files() -> str:
    """The reference of YAML files."""
    lines = ["# YAML files", "", MADE.format("the classes of the files"), ""]
    lines += [
        "Keys of all files that commands read, made from their classes. Texts are read as on the command line: "
        "`shots: 1,5,full`, `seeds: 0-4`, `budget: adapt_seconds=2`. A key without a default is required."
    ]
    for kind, (introduction, parts) in FILES.items():
        lines += ["", f"## {kind}", "", introduction]
        for title, model, left_out in parts:
            lines += [
                "",
                f"{title}:",
                "",
                *_table(("key", "value", "default", "meaning"), list(_keys(model, left_out))),
            ]
    return _text(lines)


def schema(make: Callable[[bool], Mapping[str, Any]]) -> str:
    """The JSON Schema of a kind of file, with this project's own plugins."""
    return json.dumps(make(True), indent=1) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    **{f"reference-{group}.md": partial(plugins, group) for group in INTRODUCTIONS},
    "reference-commands.md": commands,
    "reference-yaml.md": files,
    "suite.schema.json": partial(schema, suite_schema),
    "claim.schema.json": partial(schema, claim_schema),
}
"""The makers of all files, by their names in docs/."""


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


def _command(command: Any, parent: typer.Context | None, name: str) -> Iterator[str]:
    """The part of a page on one command, and those on the commands below it."""
    context = typer.Context(command, parent=parent, info_name=name.rpartition(" ")[2])
    below = getattr(command, "commands", {})
    records = list(_records(command, context))
    if records or not below:
        yield from ("", f"## {name}", "", "```text", " ".join([name, *command.collect_usage_pieces(context)]), "```")
        for paragraph in cleandoc(command.help or "").split("\n\n"):
            yield from ("", _cell(paragraph))
        for group in dict.fromkeys(group for group, *_ in records):
            yield ""
            yield from _table((group, ""), [(left, right) for own, left, right in records if own == group], code=False)
        if command.epilog:
            yield from (
                "",
                "Examples:",
                "",
                "```text",
                *(line.strip() for line in command.epilog.strip().splitlines()),
                "```",
            )
    for word, each in below.items():
        if not each.hidden:
            yield from _command(each, context, f"{name} {word}")


def _records(command: Any, context: typer.Context) -> Iterator[tuple[str, str, str]]:
    """Group, names and help of the parameters of a command."""
    for each in command.params:
        record = each.get_help_record(context)
        if record is not None:
            kind = "argument" if each.param_type_name == "argument" else "option"
            yield getattr(each, "rich_help_panel", None) or kind, _option(record[0]), record[1]


def _option(text: str) -> str:
    """Names of an option, and the type of its value as ``--help`` has it, for a cell of a table."""
    names = _NAMES.match(text)
    parts = (names[0], text[names.end() :].strip()) if names else (text, "")
    return " ".join(f"`{part.strip()}`".replace("|", ", ") for part in parts if part.strip())


def _keys(model: type[BaseModel], left_out: Sequence[str]) -> Iterator[tuple[str, str, str, str]]:
    """Key, value, default and meaning of each field of a model."""
    found, known = model.model_json_schema(), meanings(model)
    for name, field in model.model_fields.items():
        if name not in left_out:
            value = ", or ".join(dict.fromkeys(filter(None, _values(found["properties"][name]))))
            yield f"``{name}``", value, _default(field.default, field.is_required()), known[name]


def _values(part: Mapping[str, Any]) -> Iterator[str]:
    """What a schema allows, in words."""
    if "anyOf" in part:
        for each in part["anyOf"]:
            yield from _values(each)
    elif "enum" in part or "const" in part:
        yield ", ".join(f"``{each}``" for each in part.get("enum", [part.get("const")]))
    else:
        yield _TYPES.get(part.get("type", ""), "")


def _default(value: Any, required: bool) -> str:
    if required:
        return ""
    return "-" if value is None or value == "" else f"``{json.dumps(value).strip(chr(34))}``"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], code: bool = True) -> Iterator[str]:
    """A table; ``code`` says whether cells of the first column are texts, and not code already."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for first, *others in rows:
        yield f"| {' | '.join([_cell(first) if code else first, *map(_cell, others)])} |"


def _cell(text: str) -> str:
    """A text as Markdown; what a docstring marks as code is code."""

    def code(found: re.Match[str]) -> str:
        return found[0] if "&" in found[1] else f"`{found[1].replace('<!-- -->', '')}`"

    return re.sub(r"(?:&#96;){2}(.+?)(?:&#96;){2}", code, markdown_text(text)) or " "


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for name, make in PAGES.items():
        (DOCS / name).write_text(make(), encoding="utf-8")
        sys.stdout.write(f"{DOCS / name}\n")
