"""The mark of costs that were measured in company, while something else used the machine (docs/budgets.md)."""

from collections.abc import Iterable, Sequence

from bench.reports.row import Row
from bench.results.record import Record
from bench.spec.axes import AXES

SIGN = "†"
"""Follows a time that was measured in company."""
LEGEND = f"{SIGN}: measured while something else used the machine; bench run --remeasure measures it again alone."
TIME_UNITS = frozenset({"s", "ms"})
"""Units of costs that depend on what else runs; memory and counts do not."""
TIMES = frozenset(axis.row_field for axis in AXES if axis.unit in TIME_UNITS and axis.row_field)
"""Fields of rows that are times."""


def sign(row: Row, field: str) -> str:
    """The mark of one cell of a leaderboard.

    Args:
        row: The row.
        field: Its field.

    Returns:
        SIGN, or an empty string.
    """
    if getattr(row, field) is None:
        return ""
    if field == "break_even_queries":
        return SIGN if row.break_even_company else ""
    return SIGN if row.company and field in TIMES else ""


def legend(rows: Sequence[Row]) -> str:
    """The legend of SIGN; empty where no row has it."""
    return LEGEND if any(row.company or row.break_even_company for row in rows) else ""


def ratio_warning(rows: Sequence[Row]) -> str:
    """A warning on break-evens that rest on times measured in company; empty where none does."""
    names = dict.fromkeys(row.method for row in rows if row.break_even_company)
    if not names:
        return ""
    return f"break-even of {', '.join(names)} rests on times measured in company; measure again with --remeasure"


def company_of(records: Iterable[Record]) -> str:
    """Why costs of records were measured in company; empty where none were."""
    reasons = (record.costs.company for record in records if record.costs is not None and record.costs.company)
    return "; ".join(next(reasons, ()))
