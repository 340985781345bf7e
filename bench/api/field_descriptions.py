"""Fields of a method's config in words, for ``bench show``."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.toolkit.visible import visible

if TYPE_CHECKING:
    from pydantic import BaseModel

_TYPES = {"integer": "whole number", "number": "number", "boolean": "true, false", "string": "text", "null": "none"}
_BOUNDS = {"exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below", "maximum": "at most"}


@dataclass(frozen=True)
class FieldDescription:
    """A field of a method's config.

    Attributes:
        name: Its name, for ``--set METHOD.NAME=VALUE``.
        values: Its type and bounds, or its choices.
        default: Its default.
        search: Range or choices of sweeps; empty where they do not vary it.
        description: What it is.
    """

    name: str
    values: str
    default: str
    search: str
    description: str


def fields_of(config: "type[BaseModel]") -> Iterator[FieldDescription]:
    """Describe the fields of a config.

    Args:
        config: The config's class.

    Yields:
        Its fields in order.
    """
    from bench.contracts import Tune

    schema = config.model_json_schema()
    for name, field in config.model_fields.items():
        own = schema["properties"][name]
        tune = next((each for each in field.metadata if isinstance(each, Tune)), None)
        default = "required" if field.is_required() else _value(field.get_default(call_default_factory=True))
        description = visible(" ".join((field.description or "").split()))
        yield FieldDescription(name, _values(own, schema.get("$defs", {})), default, _search(tune, own), description)


def _values(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Type and bounds of a field, or its choices."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if parts := schema.get("anyOf"):
        return ", or ".join(dict.fromkeys(_values(part, definitions) for part in parts))
    if "const" in schema:
        return _value(schema["const"])
    if "enum" in schema:
        return ", ".join(map(_value, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_values(schema.get('items', {}), definitions)}"
    bounds = [f"{word} {schema[key]:g}" for key, word in _BOUNDS.items() if key in schema]
    text = "path" if schema.get("format") == "path" else _TYPES.get(schema.get("type", ""), "value")
    return " ".join((text, " and ".join(bounds))).strip()


def _search(tune: Any, schema: Mapping[str, Any]) -> str:
    """Range or choices of sweeps."""
    if tune is None:
        return ""
    if tune.choices:
        return ", ".join(map(_value, tune.choices))
    if "enum" in schema or schema.get("type") == "boolean":
        return "all"
    low = schema.get("minimum", schema.get("exclusiveMinimum")) if tune.low is None else tune.low
    high = schema.get("maximum", schema.get("exclusiveMaximum")) if tune.high is None else tune.high
    return f"{_value(low)} to {_value(high)}{', log' if tune.log else ''}"


def _value(value: Any) -> str:
    """A value as on the command line."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
