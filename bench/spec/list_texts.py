"""Parsers of option values that are lists: command-line text, and values and lists of YAML and Python, to one type.

Texts take commas and repetition. Parsers raise ValueError with the requirement; ``validated`` adds the field and the
value. Values that a parser returns unchanged are checked by the type of the field.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from numbers import Integral
from typing import Any

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
    require_few(len(parts))
    return [part.strip() if isinstance(part, str) else part for part in parts]


def require_few(number: int) -> None:
    """Require that a list is short enough.

    Args:
        number: Number of its items.

    Raises:
        ValueError: If they are more than MOST_ITEMS.
    """
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
