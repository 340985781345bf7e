"""What records say of a cell of a claim: a difference of scores, a spread over seeds, or a ratio of costs."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from bench import registry
from bench.reports.claim_cells import FoundRecords, PlannedCell
from bench.reports.company import SIGN, TIME_UNITS
from bench.reports.score_limit import score_limit_test
from bench.reports.tables import number
from bench.results.ratio_files import MeasuredRatios
from bench.results.record import Record
from bench.results.row_sample import Find
from bench.results.scores import mean_score
from bench.results.shared_episodes import items_text, shared_text
from bench.spec.axes import AXES
from bench.stats.limits import LimitTest, ratio_test, spread_test

FindRatios = Callable[[Record, Record], MeasuredRatios | None]
"""Looks up the ratios of costs of two runs; ``RatioFiles.read`` is one."""
AXIS = {axis.name: axis for axis in AXES}


@dataclass(frozen=True)
class CellFinding:
    """What the records say of a cell.

    Attributes:
        finding: Estimate and its 95% interval in words, or why there is none.
        test: Test against the limit; None where counts decide, or nothing does.
        favour: Distance from the limit on the claimed side, on the scale of the test; None without an estimate.
        needs: Makes the words for what would decide the cell from a number of units.
        estimate: Ratio where counts decide.
        company: Why times count as measured in company.
    """

    finding: str
    test: LimitTest | None = None
    favour: float | None = None
    needs: Callable[[int], str] | None = None
    estimate: float | None = None
    company: tuple[str, ...] = field(default=())

    @property
    def p_value(self) -> float:
        """The p-value for Holm: 0 where counts decide, 1 without an estimate."""
        if self.test is not None:
            return self.test.p_value
        return 1.0 if self.favour is None else 0.0


def cell_finding(cell: PlannedCell, records: FoundRecords, find: Find, ratios: FindRatios) -> CellFinding:
    """Look up the runs of a cell and compare them with its limit.

    Args:
        cell: The cell.
        records: Records of the runs of all cells.
        find: Looks up the predictions of a record.
        ratios: Looks up ratios of costs that were measured in turn.

    Returns:
        The finding; one without an estimate where records are missing.
    """
    # Costs are the same for all seeds.
    seeds = slice(1) if cell.condition.cost is not None else slice(None)
    own, reason = records.of(cell.own[seeds])
    other, other_reason = records.of(cell.other[seeds])
    if reason or other_reason:
        return CellFinding(reason or other_reason)
    if cell.condition.spread is not None:
        return _spread(cell, own)
    if cell.condition.cost is None:
        return _score(cell, own, other, find)
    return _measured(cell, own[0], other[0], ratios) if cell.is_measured else _counted(cell, own[0], other[0])


def _score(cell: PlannedCell, own: list[Record], other: list[Record], find: Find) -> CellFinding:
    """A difference of scores on shared episodes."""
    condition = cell.condition
    limit = condition.margin if condition.score == "better" else -condition.margin
    tested = score_limit_test(own, other, limit, find)
    if tested is None:
        return CellFinding("no episodes in common, or one whose predictions were not kept")
    found, test = tested
    metric = registry.make_metric(own[0].metric)
    sign = 1 if metric.higher_is_better else -1
    low, high = sorted((sign * test.interval.low, sign * test.interval.high))
    finding = (
        f"{metric.text(found.a)} and {metric.text(found.b)}: {metric.difference_text(found.difference)} "
        f"({metric.difference_text(low)} to {metric.difference_text(high)})"
    )
    if shared := shared_text(own, other):
        finding += f"; {shared}"

    def needs(units: int) -> str:
        missing = units - test.n_units
        if found.unit == "queries":
            return items_text(missing, "query")
        per_seed = 1 if found.clustered else max(len(record.episode_scores) for record in own)
        return items_text(-(-missing // per_seed), "seed")

    return CellFinding(finding, test, test.gap, needs)


def _spread(cell: PlannedCell, own: list[Record]) -> CellFinding:
    """The standard deviation of a score over seeds."""
    if len(own) < 2:
        return CellFinding(f"1 seed, which has no standard deviation; needs more seeds of {cell.methods[0]}")
    metric = registry.make_metric(own[0].metric)
    low, high = metric.bounds
    least = (high - low) / max(1, own[0].n_queries) if math.isfinite(high - low) else 0.0
    test = spread_test([mean_score(record.episode_scores) for record in own], cell.condition.largest, least)
    if test is None:
        return CellFinding(f"{len(own)} seeds with equal scores")
    text = [metric.difference_text(value, sign="") for value in (test.estimate, test.interval.low, test.interval.high)]
    finding = f"{text[0]} ({text[1]} to {text[2]}) over {len(own)} seeds"
    return CellFinding(finding, test, -test.gap, lambda units: items_text(units - test.n_units, "seed"))


def _counted(cell: PlannedCell, own: Record, other: Record) -> CellFinding:
    """A ratio of costs that are the same each time."""
    axis = AXIS[str(cell.condition.cost)]
    a, b = (None if record.costs is None else axis.of_costs(record.costs) for record in (own, other))
    if a is None or b is None:
        return CellFinding(f"{axis.name} was not counted")
    finding = f"{number(a)} / {number(b)} {axis.unit}".rstrip()
    limit = cell.condition.largest * b
    if b <= 0:
        return CellFinding(finding, favour=1.0 if a <= limit else -1.0)
    favour = math.inf if a <= 0 else math.log(limit / a)
    # A ratio that is the limit itself keeps to it.
    return CellFinding(
        f"{finding} = {number(a / b)}", favour=max(favour, 1e-9) if a <= limit else favour, estimate=a / b
    )


def _measured(cell: PlannedCell, own: Record, other: Record, ratios: FindRatios) -> CellFinding:
    """A ratio of costs that were measured in turn."""
    axis, measured = AXIS[str(cell.condition.cost)], ratios(own, other)
    ratio = None if measured is None else measured.of(axis.name)
    if measured is None or ratio is None:
        return CellFinding("costs were not measured in turn")
    if ratio.ratio is None or ratio.high is None:
        return CellFinding(
            f"{number(ratio.a)} / {number(ratio.b)} {axis.unit} has no interval in {measured.pairs} pairs"
        )
    test = ratio_test(ratio.ratio, ratio.high, measured.pairs, cell.condition.largest)
    company = measured.conditions.company if axis.unit in TIME_UNITS else ()
    finding = (
        f"{number(ratio.a)} / {number(ratio.b)} {axis.unit}{SIGN if company else ''} = {number(ratio.ratio)} "
        f"({number(test.interval.low)} to {number(test.interval.high)})"
    )
    needs = "an idle machine, or " if company else ""
    return CellFinding(
        finding, test, -test.gap,
        lambda units: f"{needs}{units:,} pairs of measurements in place of {measured.pairs}", company=company,
    )  # fmt: skip
