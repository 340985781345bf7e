"""JSON Schemas of suite and claim files, for editors: keys with their meanings, names of plugins and fields of methods.

They are made from the classes of the files and from the installed plugins, none of which is imported. They know present
names alone: keys and names of the first edition, which the program still reads, are refused.
"""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from bench import registry
from bench.plugin import OWN, Plugin
from bench.spec.axes import LIMITED
from bench.spec.claim import FIXED, Claim, ClaimRuns, ClaimTest, Condition
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
    block["allOf"] = [_one_of("task", "sequence"), _one_of("methods", "method")]
    return {"$schema": DIALECT, **schema}


def claim_schema(own: bool = False) -> Schema:
    """JSON Schema of claim files.

    Args:
        own: Name this project's plugins alone, and not those of other installed packages.

    Returns:
        The schema; with ``own``, the content of ``docs/claim.schema.json``.
    """
    schema = Claim.model_json_schema()
    models: tuple[type[BaseModel], ...] = (Claim, ClaimTest, ClaimRuns, Condition)
    schema["$defs"] = {model.__name__: schema["$defs"][model.__name__] for model in models[1:]}
    test, runs, condition = schema["$defs"].values()
    for model, part in zip(models, (schema, test, runs, condition), strict=True):
        _describe(part, model)
    for key in FIXED:
        del runs["properties"][key]
    for part in (test, runs):
        _name_plugins(part["properties"], own)
    del runs["required"]
    runs |= _one_of("task", "sequence")
    for key in ("score", "cost", "spread", "at_most"):
        found = condition["properties"][key]
        found["anyOf"] = [form for form in found["anyOf"] if form["type"] != "null"]  # a key that is there has a value
        del found["default"]
    condition["oneOf"] = [
        {"required": ["score"], "properties": {"at_most": False}},
        *(
            {"required": [key, "at_most"], "properties": {"margin": False, "score": False}}
            for key in ("cost", "spread")
        ),
    ]
    needs = {"required": ["margin"], "properties": {"margin": {"exclusiveMinimum": 0}}}
    condition |= {"if": {"required": ["score"], "properties": {"score": {"const": "not_worse"}}}, "then": needs}
    return {"$schema": DIALECT, **schema}


def _one_of(*keys: str) -> Schema:
    """That exactly one of some keys is there."""
    return {"oneOf": [{"required": [key]} for key in keys]}


def _describe(schema: Schema, model: type[BaseModel]) -> None:
    """Add meanings to the properties of a schema, and leave out titles, which say the names again."""
    schema["description"] = inspect.cleandoc(model.__doc__ or "").partition("\n")[0]
    for name, text in meanings(model).items():
        own = schema["properties"][name]
        own.pop("title", None)
        own["description"] = text.replace("``", "`")


def _name_plugins(properties: Mapping[str, Schema], own: bool) -> None:
    """Add names of plugins to the properties that take them, and the fields of methods and the axes of budgets."""
    known_tasks = _plugins("tasks", own)
    tasks = [*known_tasks, *(name for name in registry.task_variants() if name.partition(":")[0] in known_tasks)]
    methods = [name for plugin in _plugins("methods", own).values() for name in _at_sites(plugin)]
    known = {"task": tasks, "sequence": tasks, "backbone": list(_plugins("backbones", own))}
    known |= dict.fromkeys(("method", "methods", "against"), methods)
    for key in properties.keys() & known.keys():
        for form in properties[key].get("anyOf", [properties[key]]):
            if form["type"] != "null":
                _suggest(form.get("items", form), known[key])
    for key in properties.keys() & {"set", "vary"}:
        for form in _mappings(properties[key]):
            form["properties"] = dict(_of_methods(form["additionalProperties"], methods))
    for key in properties.keys() & {"budget", "budget_grid"}:
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
