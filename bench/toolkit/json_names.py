"""Objects of JSON without names that are given twice, of which Python's reader keeps the last."""

from typing import Any


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, as ``object_pairs_hook`` of ``json.loads``.

    Args:
        pairs: Names and values.

    Returns:
        Values by name.

    Raises:
        ValueError: If a name is given twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found
