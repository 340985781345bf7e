"""Cells of CSV files that no spreadsheet takes for a formula, and that steer no terminal."""

from typing import Any

from bench.toolkit.visible import visible_lines

_STARTS = tuple("=+-@\t\r\n|%\uff1d\uff0b\uff0d\uff20")
"""Beginnings of formulas and of commands, the wide forms of East Asian writing included."""


def csv_cell(value: Any) -> Any:
    """A cell, with an apostrophe before a text that a spreadsheet would compute (CWE-1236).

    Args:
        value: A text, a number or None.

    Returns:
        The text that a spreadsheet shows; anything but a text unchanged.
    """
    if not isinstance(value, str):
        return value
    text = visible_lines(value)
    computed = any(each.startswith(_STARTS) for each in (value, value.lstrip())) and value != "-"
    return f"'{text}" if computed else text
