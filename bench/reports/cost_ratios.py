"""Costs of two methods measured in turn, as a table."""

from collections.abc import Sequence

from bench.costs.in_turn import Ratio
from bench.reports.company import SIGN, TIME_UNITS
from bench.reports.noted_table import NotedTable
from bench.reports.tables import number
from bench.runs.cost_comparison import CostComparison

NOTE = (
    "Costs of {a} / {b}, measured in turn in pairs: medians, and the ratio with its 95% interval (Student's t on "
    "logarithms). adapt and query leave out encoding; peak is of both stages. break-even: which of both costs less "
    "time in all, encoding included, and from how many queries on, with a 95% bootstrap interval over pairs."
)
COMPANY = f" {SIGN}: measured while something else used the machine ({{reasons}}); pairs meet it alike, medians do not."


def ratio_table(found: Sequence[CostComparison], a: str, b: str) -> NotedTable:
    """A line for each comparison of costs.

    Args:
        found: The comparisons, one at least.
        a: Name of the first method.
        b: Name of the second method.

    Returns:
        The table.
    """
    costs = [ratio.cost for ratio in found[0].measured.ratios]
    reasons = dict.fromkeys(reason for one in found for reason in one.measured.conditions.company)
    return NotedTable(
        ["task", "shots", *costs, "break-even", "pairs"],
        [_cells(one, a, b) for one in found],
        NOTE.format(a=a, b=b) + (COMPANY.format(reasons="; ".join(reasons)) if reasons else ""),
    )


def _cells(one: CostComparison, a: str, b: str) -> list[str]:
    measured = one.measured
    company = bool(measured.conditions.company)
    ratios = [_ratio(ratio, SIGN if company and ratio.unit in TIME_UNITS else "") for ratio in measured.ratios]
    comes = measured.break_even[0] != float("inf")
    name, queries = (a, measured.break_even) if comes else (b, measured.break_even_of_b)
    middle, low, high = map(_queries, queries)
    between = f"{name} from {middle}" + ("" if low == middle == high else f" ({low} to {high})")
    return [one.task, str(one.shots), *ratios, between + (SIGN if company else ""), str(measured.pairs)]


def _ratio(ratio: Ratio, sign: str) -> str:
    """Both medians, their ratio and its interval."""
    text = f"{number(ratio.a)} / {number(ratio.b)} {ratio.unit}{sign}"
    if ratio.ratio is None:
        return text
    text += f" = {number(ratio.ratio)}"
    return text if ratio.low is None else f"{text} ({number(ratio.low)} to {number(ratio.high)})"


def _queries(queries: float) -> str:
    return "never" if queries == float("inf") else number(queries)
