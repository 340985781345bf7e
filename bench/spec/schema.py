"""JSON Schema of suite files, for editors: keys with their meanings, names of plugins and fields of methods.

It is made from the classes of suites and from the installed plugins, none of which is imported. It knows present names
alone: keys and names of the first edition, which the program still reads, are refused.
"""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from bench import registry
from bench.plugin import OWN, Plugin
from bench.spec.axes import LIMITED
from bench.spec.suite import Block, Suite

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.+(?:\n {5,}.+)*)", re.MULTILINE)

Schema = dict[str, Any]


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Meanings of a model's fields, from the sections ``Attributes:`` of its docstring and of those of its bases.

    Args:
        model: Class of the model.

    Returns:
        A sentence or two for each field that is described.
    """
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        _, _, section = inspect.cleandoc(vars(each).get("__doc__") or "").partition("Attributes:\n")
        # What follows the section is not indented.
        section = re.split(r"^(?=\S)", section, maxsplit=1, flags=re.MULTILINE)[0]
        found |= {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(section)}
    return {name: found[name] for name in model.model_fields if name in found}


def suite_schema(own: bool = False) -> Schema:
    """JSON Schema of suite files.

    Args:
        own: Name this project's plugins alone, and not those of other installed packages.

    Returns:
        The schema; with ``own``, the content of ``docs/suite.schema.json``.
    """
    schema = Suite.model_json_schema()
    definitions: dict[str, Schema] = schema["$defs"]
    _describe(schema, Suite)
    block = definitions["Block"]
    _describe(block, Block)
    _name_plugins(block["properties"], own)
    block["properties"] |= {
        "method": {**block["properties"]["methods"], "description": "Another name of the key methods."}
    }
    del block["required"]
    block["allOf"] = [
        {"oneOf": [{"required": [key]} for key in keys]} for keys in (("task", "sequence"), ("methods", "method"))
    ]
    return {"$schema": DIALECT, **schema}


def _describe(schema: Schema, model: type[BaseModel]) -> None:
    """Add meanings to the properties of a schema, and leave out titles, which say the names again."""
    schema["description"] = inspect.cleandoc(model.__doc__ or "").partition("\n")[0]
    for name, text in meanings(model).items():
        own = schema["properties"][name]
        own.pop("title", None)
        own["description"] = text.replace("``", "`")


def _name_plugins(properties: Mapping[str, Schema], own: bool) -> None:
    """Add the names of plugins to the properties of a block, and the fields of methods and the axes of budgets."""
    known_tasks = _plugins("tasks", own)
    tasks = [*known_tasks, *(name for name in registry.task_variants() if name.partition(":")[0] in known_tasks)]
    methods = [name for plugin in _plugins("methods", own).values() for name in _at_sites(plugin)]
    _suggest(properties["task"], tasks)
    for key, names in (("sequence", tasks), ("methods", methods), ("backbone", list(_plugins("backbones", own)))):
        for form in properties[key]["anyOf"]:
            if form["type"] != "null":
                _suggest(form.get("items", form), names)
    for key in ("set", "vary"):
        for form in _mappings(properties[key]):
            form["properties"] = dict(_of_methods(form["additionalProperties"], methods))
    for key in ("budget", "budget_grid"):
        for form in _mappings(properties[key]):
            limit = form["additionalProperties"]
            form["properties"] = {name: {"description": axis.description, **limit} for name, axis in LIMITED.items()}
            form["additionalProperties"] = False


def _plugins(group: registry.Group, own: bool) -> dict[str, Plugin]:
    return {name: plugin for name, plugin in registry.find(group).items() if not own or plugin.origin == OWN}


def _at_sites(plugin: Plugin) -> list[str]:
    """Names of a method: by itself, and at each of its sites."""
    return [plugin.name, *(f"{plugin.name}@{site.value}" for site in plugin.sites())]


def _mappings(schema: Schema) -> list[Schema]:
    """The forms of a field that are mappings; others are the texts of the command line."""
    return [form for form in schema.get("anyOf", [schema]) if form["type"] == "object"]


def _suggest(schema: Schema, names: Sequence[str]) -> None:
    """Let an editor complete names; any other text stays allowed, such as an argument or a path."""
    del schema["type"]
    schema["anyOf"] = [{"enum": list(names)}, {"type": "string"}]


def _of_methods(values: Schema, methods: Sequence[str]) -> Iterator[tuple[str, Schema]]:
    """Schemas of the fields of each method, with the schema of a mapping from any fields to the same values."""
    for name in methods:
        fields = registry.config_fields(name.partition("@")[0])
        if fields is not None:
            properties = dict.fromkeys(sorted(fields), values["additionalProperties"])
            yield name, {"type": "object", "properties": properties, "additionalProperties": False}
