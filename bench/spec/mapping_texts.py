"""Parsers of option values that are mappings: ``NAME=VALUE`` texts, and mappings of YAML and Python, to one type.

Texts take commas and repetition, and a name once. Errors are those of ``bench.spec.list_texts``.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bench.contracts.errors import shown
from bench.spec.list_texts import require_few
from bench.spec.yaml_text import yaml_value


def _pairs(value: Any, form: str, name_pattern: str = r"\w+") -> list[tuple[str, str]]:
    """``NAME=VALUE`` texts as pairs; a comma before another ``NAME=`` separates two."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, Iterable) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"needs a mapping or texts of the form {form}")
    pairs = []
    for text in texts:
        for one in re.split(rf",(?={name_pattern}=)", text):
            name, equals, content = one.partition("=")
            if not (equals and re.fullmatch(r"[\w@.-]+", name.strip()) and content):
                raise ValueError(f"needs {form}")
            pairs.append((name.strip(), content))
    return pairs


def _value(name: str, text: str) -> Any:
    """The value of one field, read as YAML."""
    try:
        return yaml_value(text)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def _once(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs, whose names are all different."""
    given: dict[str, str] = {}
    for name, text in pairs:
        if name in given:
            raise ValueError(
                f"gives {name} twice, {shown(given[name], 40)[1:-1]} and {shown(text, 40)[1:-1]}; give it once"
            )
        given[name] = text
    return pairs


def read_fields(value: Any) -> Any:
    """Fields of one config from ``["alpha=0.8"]``; values are read as YAML.

    Args:
        value: A mapping, which is returned as it is, or texts.

    Returns:
        Values by field.

    Raises:
        ValueError: For a text of another form.
    """
    if isinstance(value, Mapping):
        return value
    pairs = _once(_pairs(value, "FIELD=VALUE, such as alpha=0.8", r"[\w@.]+"))
    return {name: _value(name, text) for name, text in pairs}


def read_columns(value: Any) -> Any:
    """Names of columns from ``"text=review,label=stars"``, as they are.

    Args:
        value: A mapping, which is returned as it is, or texts.

    Returns:
        Names in the data by column.

    Raises:
        ValueError: For a text of another form.
    """
    if isinstance(value, Mapping):
        return value
    return dict(_once(_pairs(value, "COLUMN=NAME, such as text=review,label=stars")))


def read_settings(value: Any) -> Any:
    """Fields by method from ``["faast.alpha=0.8"]``; values are read as YAML.

    Args:
        value: A mapping, which is returned as it is, or texts.

    Returns:
        Values by field, by method.

    Raises:
        ValueError: For a text of another form.
    """
    if isinstance(value, Mapping):
        return value
    form = "METHOD.FIELD=VALUE, such as faast.prior_strength=400"
    settings: dict[str, dict[str, Any]] = {}
    for target, text in _once(_pairs(value, form, r"[\w@]+\.\w+")):
        method, _, field = target.partition(".")
        if not (method and field):
            raise ValueError(f"needs {form}")
        settings.setdefault(method, {})[field] = _value(target, text)
    return settings


LIMIT_FORM = "AXIS=LIMIT, such as adapt_seconds=2"


def read_limits(value: Any) -> Any:
    """Limits by axis from ``["adapt_seconds=2", "state_mb=10"]``.

    Args:
        value: A mapping, which is returned as it is, or texts.

    Returns:
        Numbers by axis.

    Raises:
        ValueError: For a text of another form, and for an axis that is given twice.
    """
    if isinstance(value, Mapping):
        return value
    return {axis: _number(axis, text) for axis, text in _once(_pairs(value, LIMIT_FORM))}


def read_limit_grid(value: Any) -> Any:
    """Several limits by axis from ``["adapt_seconds=0.1,1,10"]``.

    Args:
        value: A mapping, which is returned as it is, or texts.

    Returns:
        Lists of numbers by axis.

    Raises:
        ValueError: For a text of another form.
    """
    if isinstance(value, Mapping):
        return value
    pairs = _once(_pairs(value, "AXIS=LIMIT,LIMIT, such as adapt_seconds=0.1,1,10"))
    for _, text in pairs:
        require_few(text.count(",") + 1)
    return {axis: [_number(axis, part) for part in text.split(",")] for axis, text in pairs}


def _number(axis: str, text: str) -> float:
    value = _value(axis, text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise ValueError(f"needs a number for {axis}, got {shown(text, 60)}; give one above 0, such as {axis}=2")


def read_ranges(value: Any) -> Any:
    """Ranges of a sweep from ``["alpha=0.5:1", "scale=1:100:log", "centre=true,false"]``.

    Args:
        value: A mapping, which is returned as it is, or texts.

    Returns:
        Fields of a range by field of the config.

    Raises:
        ValueError: For a text of another form.
    """
    if isinstance(value, Mapping):
        return value
    form = "FIELD=LOW:HIGH, FIELD=LOW:HIGH:log or FIELD=A,B,C"
    ranges: dict[str, dict[str, Any]] = {}
    for name, text in _once(_pairs(value, form, r"[\w@.]+")):
        parts = [_value(name, part) for part in text.split(":", 3)]
        if len(parts) > 3 or (len(parts) == 3 and parts[2] != "log"):
            raise ValueError(f"needs {form}")
        if len(parts) == 1:
            require_few(text.count(",") + 1)
            ranges[name] = {"choices": [_value(name, choice) for choice in text.split(",")]}
        else:
            ranges[name] = {"low": parts[0], "high": parts[1], "log": len(parts) == 3}
    return ranges
