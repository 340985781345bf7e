"""Verdicts on claims: for each cell by a test against its limit, for each claim by all of its cells."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.reports.claim_cells import FoundRecords, PlannedCell, planned_cells
from bench.reports.claim_findings import CellFinding, FindRatios, cell_finding
from bench.results.row_sample import Find
from bench.results.run_texts import shots_text
from bench.spec.claim import Claim
from bench.spec.run_spec import Shots
from bench.stats.intervals import ALPHA
from bench.stats.paired import holm

Verdict = Literal["confirmed", "refuted", "undecided"]


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
    found = [cell_finding(cell, records, find, ratios) for cell in planned]
    adjusted = holm([each.p_value for each in found])
    cells = tuple(_cell(cell, each, p, len(found)) for cell, each, p in zip(planned, found, adjusted, strict=True))
    return ClaimReport(claim, cells, tuple(dict.fromkeys(reason for each in found for reason in each.company)))


def _cell(planned: PlannedCell, found: CellFinding, adjusted_p: float, n_tests: int) -> Cell:
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
