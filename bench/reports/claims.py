"""Verdicts on claims: for each cell by a test against its limit, for each claim by all of its cells."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bench import registry
from bench.reports.claim_cells import FoundRecords, PlannedCell, planned_cells
from bench.reports.company import SIGN, TIME_UNITS
from bench.reports.score_limit import score_limit_test
from bench.reports.tables import number
from bench.results.grouping import shots_text
from bench.results.ratio_files import MeasuredRatios
from bench.results.record import Record
from bench.results.row_sample import Find
from bench.results.scores import mean_score
from bench.results.shared_episodes import items_text, shared_text
from bench.spec.axes import AXES
from bench.spec.claim import Claim
from bench.spec.suite import Shots
from bench.stats.intervals import ALPHA
from bench.stats.limits import LimitTest, ratio_test, spread_test
from bench.stats.paired import holm

Verdict = Literal["confirmed", "refuted", "undecided"]
FindRatios = Callable[[Record, Record], MeasuredRatios | None]
"""Looks up the ratios of costs of two runs; ``RatioFiles.read`` is one."""
AXIS = {axis.name: axis for axis in AXES}


@dataclass(frozen=True)
class Cell:
    """One condition on one task, backbone and number of shots, with its verdict.

    Attributes:
        condition: The limit in words.
        task: Name of the task.
        backbone: Name of the backbone.
        shots: Number of shots.
        method: The method that the claim is about.
        against: The method that it is compared with; empty for a spread.
        finding: Estimate and its 95% interval in words, or why there is none.
        verdict: The verdict.
        needs: What would decide it; empty where it is decided.
        p_value: By Holm, for all cells of the claim; 0 where counts decide, None without an estimate.
        estimate: Difference, ratio or standard deviation; None without one.
        low: Lower end of its interval; None where counts decide.
        high: Upper end.
        favour: Distance from the limit on the claimed side, on the scale of the test; negative on the other side.
    """

    condition: str
    task: str
    backbone: str
    shots: Shots
    method: str
    against: str
    finding: str
    verdict: Verdict
    needs: str
    p_value: float | None
    estimate: float | None
    low: float | None
    high: float | None
    favour: float | None

    @property
    def place(self) -> str:
        """Task, shots and the other method."""
        at = f"{self.task}, {shots_text(self.shots)}"
        return f"{at}, against {self.against}" if self.against else at


@dataclass(frozen=True)
class ClaimReport:
    """A claim with the verdicts on its cells.

    Attributes:
        claim: The claim.
        cells: Its cells.
        reasons: Why times count as measured in company, if any do.
    """

    claim: Claim
    cells: tuple[Cell, ...]
    reasons: tuple[str, ...] = ()

    @property
    def counts(self) -> Counter[str]:
        """Numbers of cells by verdict."""
        return Counter(cell.verdict for cell in self.cells)

    @property
    def verdict(self) -> Verdict:
        """The verdict on the whole claim.

        A claim on all cells is refuted by one of them, and confirmed if all confirm it; a claim on some cells the other
        way round.
        """
        alone: Verdict
        together: Verdict
        alone, together = ("refuted", "confirmed") if self.claim.holds_in == "all" else ("confirmed", "refuted")
        if self.counts[alone]:
            return alone
        return together if self.counts[together] == len(self.cells) else "undecided"

    @property
    def needs(self) -> str:
        """What would decide an undecided claim: that of its first undecided cell; empty for another claim."""
        needed = [cell.needs for cell in self.cells if cell.verdict == "undecided"]
        if self.verdict != "undecided":
            return ""
        return needed[0] if len(needed) == 1 else f"{needed[0]}, for the first of {len(needed)} undecided cells"

    @property
    def strongest(self) -> Cell | None:
        """The cell that speaks most for the claim; None if none speaks for it."""
        cells = [cell for cell in self.cells if cell.favour is not None and cell.favour > 0]
        return max(cells, key=_favour, default=None)

    @property
    def weakest(self) -> Cell | None:
        """The cell that speaks most against the claim; None if none speaks against it."""
        cells = [cell for cell in self.cells if cell.favour is not None and cell.favour <= 0]
        return min(cells, key=_favour, default=None)


def _favour(cell: Cell) -> float:
    return cell.favour or 0.0


@dataclass(frozen=True)
class _Found:
    """What the records say of a cell.

    finding: as in Cell. test: against the limit; None where counts decide, or nothing does. favour: as in Cell. needs:
    makes the words for what would decide it from a number of units. estimate: where counts decide. company: why times
    count as measured in company.
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


def judged(claims: Sequence[Claim], found: FoundRecords, find: Find, ratios: FindRatios) -> list[ClaimReport]:
    """Verdicts on claims.

    Args:
        claims: The claims.
        found: Records of their runs.
        find: Looks up the predictions of a record.
        ratios: Looks up ratios of costs that were measured in turn.

    Returns:
        A report for each claim.

    Raises:
        UsageError: For a wrong field or combination in a claim.
    """
    return [_judged(claim, found, find, ratios) for claim in claims]


def _judged(claim: Claim, records: FoundRecords, find: Find, ratios: FindRatios) -> ClaimReport:
    planned = planned_cells(claim)
    found = [_found(cell, records, find, ratios) for cell in planned]
    adjusted = holm([each.p_value for each in found])
    cells = tuple(_cell(cell, each, p, len(found)) for cell, each, p in zip(planned, found, adjusted, strict=True))
    return ClaimReport(claim, cells, tuple(dict.fromkeys(reason for each in found for reason in each.company)))


def _cell(planned: PlannedCell, found: _Found, adjusted_p: float, n_tests: int) -> Cell:
    verdict: Verdict = "undecided"
    needs, test = "", found.test
    if found.favour is None:
        needs = found.finding
    elif adjusted_p < ALPHA:
        verdict = "confirmed" if found.favour > 0 else "refuted"
    elif test is not None and found.needs is not None:
        units = test.needed_units(n_tests)
        side = "confirm" if found.favour > 0 else "refute"
        needs = "no number: it is at the limit" if units is None else f"{found.needs(units)} to {side} it"
    method, against = planned.methods
    return Cell(
        condition_text(planned), planned.task, planned.own[0].backbone, planned.shots, method, against,
        "-" if found.favour is None else found.finding, verdict, needs,
        None if found.favour is None else adjusted_p,
        test.estimate if test is not None else found.estimate,
        None if test is None else test.interval.low,
        None if test is None else test.interval.high,
        found.favour,
    )  # fmt: skip


def condition_text(cell: PlannedCell) -> str:
    """The condition of a cell in words.

    Args:
        cell: The cell.

    Returns:
        For example "adapt seconds at most 0.1 times".
    """
    condition = cell.condition
    if condition.cost is not None:
        return f"{condition.cost.replace('_', ' ')} at most {condition.largest:g} times"
    if condition.spread is not None:
        return f"standard deviation over seeds at most {condition.largest:g}"
    if condition.score == "not_worse":
        return f"score worse by less than {condition.margin:g}"
    return f"score better by more than {condition.margin:g}" if condition.margin else "score better"


def _found(cell: PlannedCell, records: FoundRecords, find: Find, ratios: FindRatios) -> _Found:
    # Costs are the same for all seeds.
    seeds = slice(1) if cell.condition.cost is not None else slice(None)
    own, reason = records.of(cell.own[seeds])
    other, other_reason = records.of(cell.other[seeds])
    if reason or other_reason:
        return _Found(reason or other_reason)
    if cell.condition.spread is not None:
        return _spread(cell, own)
    if cell.condition.cost is None:
        return _score(cell, own, other, find)
    return _measured(cell, own[0], other[0], ratios) if cell.is_measured else _counted(cell, own[0], other[0])


def _score(cell: PlannedCell, own: list[Record], other: list[Record], find: Find) -> _Found:
    """A difference of scores on shared episodes."""
    condition = cell.condition
    limit = condition.margin if condition.score == "better" else -condition.margin
    tested = score_limit_test(own, other, limit, find)
    if tested is None:
        return _Found("no episodes in common, or one whose predictions were not kept")
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

    return _Found(finding, test, test.gap, needs)


def _spread(cell: PlannedCell, own: list[Record]) -> _Found:
    """The standard deviation of a score over seeds."""
    if len(own) < 2:
        return _Found(f"1 seed, which has no standard deviation; needs more seeds of {cell.methods[0]}")
    metric = registry.make_metric(own[0].metric)
    low, high = metric.bounds
    least = (high - low) / max(1, own[0].n_queries) if math.isfinite(high - low) else 0.0
    test = spread_test([mean_score(record.episode_scores) for record in own], cell.condition.largest, least)
    if test is None:
        return _Found(f"{len(own)} seeds with equal scores")
    text = [metric.difference_text(value, sign="") for value in (test.estimate, test.interval.low, test.interval.high)]
    finding = f"{text[0]} ({text[1]} to {text[2]}) over {len(own)} seeds"
    return _Found(finding, test, -test.gap, lambda units: items_text(units - test.n_units, "seed"))


def _counted(cell: PlannedCell, own: Record, other: Record) -> _Found:
    """A ratio of costs that are the same each time."""
    axis = AXIS[str(cell.condition.cost)]
    a, b = (None if record.costs is None else axis.of_costs(record.costs) for record in (own, other))
    if a is None or b is None:
        return _Found(f"{axis.name} was not counted")
    finding = f"{number(a)} / {number(b)} {axis.unit}".rstrip()
    limit = cell.condition.largest * b
    if b <= 0:
        return _Found(finding, favour=1.0 if a <= limit else -1.0)
    favour = math.inf if a <= 0 else math.log(limit / a)
    # A ratio that is the limit itself keeps to it.
    return _Found(f"{finding} = {number(a / b)}", favour=max(favour, 1e-9) if a <= limit else favour, estimate=a / b)


def _measured(cell: PlannedCell, own: Record, other: Record, ratios: FindRatios) -> _Found:
    """A ratio of costs that were measured in turn."""
    axis, measured = AXIS[str(cell.condition.cost)], ratios(own, other)
    ratio = None if measured is None else measured.of(axis.name)
    if measured is None or ratio is None:
        return _Found("costs were not measured in turn")
    if ratio.ratio is None or ratio.high is None:
        return _Found(f"{number(ratio.a)} / {number(ratio.b)} {axis.unit} has no interval in {measured.pairs} pairs")
    test = ratio_test(ratio.ratio, ratio.high, measured.pairs, cell.condition.largest)
    company = measured.conditions.company if axis.unit in TIME_UNITS else ()
    finding = (
        f"{number(ratio.a)} / {number(ratio.b)} {axis.unit}{SIGN if company else ''} = {number(ratio.ratio)} "
        f"({number(test.interval.low)} to {number(test.interval.high)})"
    )
    needs = "an idle machine, or " if company else ""
    return _Found(
        finding, test, -test.gap,
        lambda units: f"{needs}{units:,} pairs of measurements in place of {measured.pairs}", company=company,
    )  # fmt: skip
