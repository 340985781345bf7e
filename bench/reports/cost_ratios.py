"""Costs of two methods measured in turn, as a terminal table, Markdown or HTML."""

from collections.abc import Sequence

from bench.costs.in_turn import Ratio
from bench.reports.company import SIGN, TIME_UNITS
from bench.reports.html_tables import html_table
from bench.reports.markdown import markdown_table, markdown_text
from bench.reports.tables import number
from bench.reports.terminal_tables import terminal_table
from bench.runs.cost_comparison import CostComparison

NOTE = (
    "Costs of {a} / {b}, measured in turn in pairs: medians, and the ratio with its 95% interval (Student's t on "
    "logarithms). adapt and query leave out encoding; peak is of both stages. break-even: which of both costs less "
    "time in all, encoding included, and from how many queries on, with a 95% bootstrap interval over pairs."
)
COMPANY = f" {SIGN}: measured while something else used the machine ({{reasons}}); pairs meet it alike, medians do not."


def _note(found: Sequence[CostComparison], a: str, b: str) -> str:
    reasons = dict.fromkeys(reason for one in found for reason in one.measured.conditions.company)
    return NOTE.format(a=a, b=b) + (COMPANY.format(reasons="; ".join(reasons)) if reasons else "")


def _header(found: Sequence[CostComparison]) -> list[str]:
    costs = [ratio.cost for ratio in found[0].measured.ratios] if found else []
    return ["task", "shots", *costs, "break-even", "pairs"]


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


def as_markdown(found: Sequence[CostComparison], a: str, b: str) -> str:
    """The ratios as a Markdown table of GitHub's kind.

    Args:
        found: The comparisons, one at least.
        a: Name of the first method.
        b: Name of the second method.

    Returns:
        The text, with a line break at its end.
    """
    table = markdown_table(_header(found), [_cells(one, a, b) for one in found])
    return "\n".join([table, "", markdown_text(_note(found, a, b))]) + "\n"


def as_table(found: Sequence[CostComparison], a: str, b: str) -> str:
    """The ratios as a terminal table in plain text; see ``as_markdown``."""
    return terminal_table(_header(found), [_cells(one, a, b) for one in found], _note(found, a, b))


def as_html(found: Sequence[CostComparison], a: str, b: str) -> str:
    """The ratios as a table for notebooks, a fragment of HTML; see ``as_markdown``."""
    return html_table(_header(found), [_cells(one, a, b) for one in found], [_note(found, a, b)])


FORMATS = {"table": as_table, "markdown": as_markdown}
