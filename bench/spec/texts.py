"""Parsers of option values: command-line text, and lists and mappings of YAML and Python, to one type.

Lists take commas and repetition. Parsers raise ValueError with the requirement; ``validated`` adds the field and the
value. Values that a parser returns unchanged are checked by the type of the field.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from numbers import Integral
from typing import Any

from bench.contracts.errors import shown
from bench.spec.yaml_text import yaml_value

LARGEST_SEED = 2**32 - 1
"""The largest seed that all generators of random numbers take."""
MOST_SHOTS = 10**6
MOST_ITEMS = 10_000
"""Largest number of items of a list."""


def _parts(value: Any) -> list[Any]:
    """The items of a value or a list of values; texts are split at commas."""
    values = value if isinstance(value, Iterable) and not isinstance(value, str | Mapping) else [value]
    several = (part for each in values for part in (each.split(",") if isinstance(each, str) else [each]))
    parts = list(islice(several, MOST_ITEMS + 1))
    _require_few(len(parts))
    return [part.strip() if isinstance(part, str) else part for part in parts]


def _require_few(number: int) -> None:
    if number > MOST_ITEMS:
        raise ValueError(f"needs {MOST_ITEMS:,} items at most")


def read_names(value: Any) -> list[Any]:
    """Names from ``"faast,knn"`` or a list of such texts.

    Args:
        value: A text or a list of texts.

    Returns:
        The names in their order, each once.
    """
    return list(dict.fromkeys(_parts(value)))


def read_shots(value: Any) -> list[int | str]:
    """Numbers of shots from ``"1,5,full"``, ``5`` or a list of these.

    Args:
        value: A number, a text or a list of both.

    Returns:
        Positive numbers and "full".

    Raises:
        ValueError: For anything else.
    """
    shots: list[int | str] = []
    for part in _parts(value):
        if part == "full":
            shots.append(part)
            continue
        number = _whole(part)
        if number is None or not 1 <= number <= MOST_SHOTS:
            raise ValueError(f"needs positive numbers or 'full', such as 1,5,full, up to {MOST_SHOTS:,}")
        shots.append(number)
    return shots


def read_seeds(value: Any) -> list[int]:
    """Seeds from ``"0-4"``, ``"0,2,7"``, a range or a list.

    Args:
        value: A number, a text or a list of both; ``"0-4"`` includes both ends.

    Returns:
        The seeds.

    Raises:
        ValueError: For anything else.
    """
    seeds: list[int] = []
    for part in _parts(value):
        first, dash, last = str(part).partition("-")
        low, high = (_whole(part), None) if not dash else (_whole(first), _whole(last))
        if low is None or low < 0 or (dash and (high is None or high < low)):
            raise ValueError("needs numbers or ranges, such as 0-4 or 0,2,7")
        end = low if high is None else high
        if end > LARGEST_SEED or len(seeds) + end - low >= MOST_ITEMS:
            raise ValueError(f"needs {MOST_ITEMS:,} seeds at most, each up to {LARGEST_SEED}")
        seeds.extend(range(low, end + 1))
    return seeds


def read_templates(value: Any) -> list[int | str]:
    """Templates by number or text.

    Args:
        value: ``"0-2"``, ``"0..2"``, ``"0,2"``, ``"all"``, a text with ``{text}`` or ``{label}`` in it, or a list of
            these. Ranges include both ends; a backslash and an n in a text are a line break.

    Returns:
        Numbers, "all", and texts, which a task checks.

    Raises:
        ValueError: For anything else.
    """
    values = value if isinstance(value, Iterable) and not isinstance(value, str | Mapping) else [value]
    found: list[int | str] = []
    for each in islice(values, MOST_ITEMS):
        if isinstance(each, str) and each.strip() == "all":
            found.append("all")
        elif isinstance(each, str) and not re.fullmatch(r"[\d\s.,-]+", each):
            found.append(each.replace("\\n", "\n"))
        else:
            try:
                found += read_seeds(each.replace("..", "-") if isinstance(each, str) else each)
            except ValueError:
                form = "needs numbers or ranges of templates, such as 0-2, or all, or a text with {text} in it"
                raise ValueError(form) from None
    return found


def _whole(part: Any) -> int | None:
    """A whole number, or None."""
    if isinstance(part, Integral) and not isinstance(part, bool):
        return int(part)
    # More digits than a seed or a number of shots may have are another number than any that is allowed.
    return int(part[:20]) if isinstance(part, str) and part.isdecimal() else None


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
        _require_few(text.count(",") + 1)
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
            _require_few(text.count(",") + 1)
            ranges[name] = {"choices": [_value(name, choice) for choice in text.split(",")]}
        else:
            ranges[name] = {"low": parts[0], "high": parts[1], "log": len(parts) == 3}
    return ranges
