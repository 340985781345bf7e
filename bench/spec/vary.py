"""Check of the key ``vary`` of a suite's block: several values of one field of a method, each a run of its own."""

import json
from collections.abc import Mapping
from typing import Any

FORM = "one field of one method with a list of values, such as {faast: {alpha: [0.5, 1]}}"


def read_vary(value: Any) -> Any:
    """A mapping of one method to one field with two values or more.

    Args:
        value: The value in the suite's file; an empty mapping varies nothing.

    Returns:
        The same value.

    Raises:
        ValueError: For several methods or fields, for fewer than two values, and for a value that is given twice.
    """
    if value == {}:
        return value
    methods = list(value.values()) if isinstance(value, Mapping) else []
    if len(methods) != 1 or not isinstance(methods[0], Mapping) or len(methods[0]) != 1:
        raise ValueError(f"needs {FORM}; another field is varied in a block of its own")
    (values,) = methods[0].values()
    if not isinstance(values, list) or len(values) < 2:
        raise ValueError(f"needs {FORM}, two values or more; a single value belongs in set")
    written = [json.dumps(one, sort_keys=True, default=str) for one in values]
    for place, one in enumerate(written):
        if one in written[:place]:
            raise ValueError(f"needs different values, {one} is there twice; give it once")
    return value
