"""Validation of user input: one-line errors with the field, the value and the closest known name."""

import difflib
import re
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bench.contracts.errors import UsageError, shown, suggestion

Model = TypeVar("Model", bound=BaseModel)


Place = tuple[str | int, ...]


def validated(model: type[Model], values: dict[str, Any], what: str, lines: Mapping[Place, int] | None = None) -> Model:
    """Validate the fields of a user's input.

    Args:
        model: Class of the result.
        values: Fields by name.
        what: Name of the thing with these fields, for messages.
        lines: Line of each field in the user's file, by its place, if there is a file.

    Returns:
        ``model(**values)``.

    Raises:
        UsageError: In one line: the field, the requirement, the value, the closest known name.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        errors = error.errors()
        first = _most_telling(errors)
        place = _place(values, first["loc"])
        path = shown(".".join(map(str, place)), 80)[1:-1]
        line = next((lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in lines), 0) if lines else 0
        what = f"{what} line {line}" if line else what
        if first["type"] == "extra_forbidden":
            field = str(first["loc"][-1])
            known = _fields_at(model, first["loc"][:-1])
            raise UsageError(f"{what} has no field '{path}'; {suggestion(field, known)}") from None
        if first["type"] == "missing":
            missing = ".".join(str(part) for part in first["loc"])
            raise UsageError(f"{what} needs the field {missing!r}, which is missing") from None
        # Where a field takes one of several types, each of them has its own reason to refuse.
        reasons = dict.fromkeys(
            one["msg"].removeprefix("Value error, ") for one in errors if _place(values, one["loc"]) == place
        )
        reason = " or ".join(reasons)
        # A reason that names the part at fault needs no whole beside it.
        got = "" if ", got " in reason else f", got {shown(first['input'])}"
        raise UsageError(f"{what}: {path}: {reason}{got}{_closest_choice(first)}") from None


def _closest_choice(error: ErrorDetails) -> str:
    """Hint for a text that is nearly one of a field's choices; empty for any other error."""
    if error["type"] != "literal_error" or not isinstance(error["input"], str):
        return ""
    choices = re.findall("'([^']*)'", error["ctx"]["expected"])
    close = difflib.get_close_matches(error["input"], choices, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _most_telling(errors: list[ErrorDetails]) -> ErrorDetails:
    """The first error; in place of a missing field, an unknown one of the same mapping, which may be a typo of it."""
    first = errors[0]
    if first["type"] != "missing":
        return first
    unknown = (one for one in errors if one["type"] == "extra_forbidden" and one["loc"][:-1] == first["loc"][:-1])
    return next(unknown, first)


def _place(values: Any, location: Place) -> Place:
    """Place of a field in the user's input, without the types that pydantic adds to its locations."""
    parts: list[str | int] = []
    for part in location:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            continue
        parts.append(part)
    return tuple(parts)


def _fields_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the model at a path, followed through lists of nested models."""
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            nested = [each for each in _types(model.model_fields[part].annotation) if _is_model(each)]
            model = nested[0] if nested else model
    return sorted(model.model_fields)


def _types(annotation: Any) -> list[Any]:
    return [annotation, *(inner for argument in get_args(annotation) for inner in _types(argument))]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
