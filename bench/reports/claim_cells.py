"""Cells of a claim: one condition on one task, backbone and number of shots, with the runs that decide it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from bench.results.grouping import data_of, latest_versions
from bench.results.identity import device_kind_of
from bench.results.record import Record
from bench.results.run_texts import method_text, shots_text, task_text
from bench.spec.claim import Claim, ClaimRuns, ClaimTest, Condition, MeasuredAxis
from bench.spec.run_spec import RunSpec, Shots

_Groups = dict[Shots, tuple[RunSpec, ...]]
MEASURED = frozenset(get_args(MeasuredAxis))
"""Axes of cost whose ratios are measured in turn."""


@dataclass(frozen=True)
class PlannedCell:
    """One condition on one task, backbone and number of shots.

    Attributes:
        condition: The condition.
        own: Runs of the method that the claim is about, one of each seed.
        other: Runs of the method that it is compared with; none for a spread.
    """

    condition: Condition
    own: tuple[RunSpec, ...]
    other: tuple[RunSpec, ...]

    @property
    def is_measured(self) -> bool:
        """Whether a ratio of costs decides it that is measured in turn."""
        return self.condition.cost in MEASURED

    @property
    def task(self) -> str:
        """Name of the task in tables."""
        return task_text(self.own[0])

    @property
    def shots(self) -> Shots:
        """Number of shots; that of the other method where the claim's uses no support set."""
        return self.own[0].shots or (self.other[0].shots if self.other else 0)

    @property
    def methods(self) -> tuple[str, str]:
        """Both methods as tables name them, the other with its number of shots where that differs, or empty."""
        own = method_text(self.own[0])
        if not self.other:
            return own, ""
        other, shots = method_text(self.other[0]), self.other[0].shots
        differs = shots not in {self.own[0].shots, 0} and self.own[0].shots != 0
        return own, f"{other} at {shots_text(shots)}" if differs else other


def planned_cells(claim: Claim) -> list[PlannedCell]:
    """The cells of a claim, in the order of its file.

    Args:
        claim: The claim.

    Returns:
        The cells: conditions, then runs, then other methods, then numbers of shots.

    Raises:
        UsageError: For a wrong field or combination.
    """
    return [
        cell
        for test in claim.tests
        for condition in test.conditions
        for runs in test.runs
        for cell in _cells(test, runs, condition)
    ]


def _cells(test: ClaimTest, runs: ClaimRuns, condition: Condition) -> list[PlannedCell]:
    from bench.spec.expand import expand  # imports plugins, and with them torch

    own = _by_shots(expand(test.own(runs)))
    if condition.spread is not None:
        return [PlannedCell(condition, specs, ()) for specs in own.values()]
    return [
        PlannedCell(condition, *sides)
        for name in test.against
        for sides in _sides(own, _by_shots(expand(test.side(runs, name))), test.against_shots is None)
    ]


def _sides(own: _Groups, other: _Groups, alike: bool) -> list[tuple[tuple[RunSpec, ...], tuple[RunSpec, ...]]]:
    """Runs of both methods that are compared; alike: at the same number of shots."""
    if not alike:
        return [(specs, next(iter(other.values()))) for specs in own.values()]
    # A method without a support set answers the same at every number of shots.
    if 0 in own:
        return [(own[0], specs) for specs in other.values()]
    return [(specs, other.get(shots) or other[0]) for shots, specs in own.items()]


def _by_shots(specs: Sequence[RunSpec]) -> _Groups:
    found: _Groups = {}
    for spec in specs:
        found[spec.shots] = (*found.get(spec.shots, ()), spec)
    return found


class FoundRecords:
    """Records by the run that they are of."""

    def __init__(self, records: Iterable[Record]) -> None:
        """Sort records by their runs.

        Args:
            records: Records of any runs.
        """
        self._known: dict[str, list[Record]] = {}
        for record in records:
            self._known.setdefault(_key(record.spec), []).append(record)

    def of(self, specs: Sequence[RunSpec]) -> tuple[list[Record], str]:
        """Records with a score of some runs: of one version of code and data, and of one kind of device.

        Args:
            specs: The runs, which differ in their seeds.

        Returns:
            A record for each run, and an empty text; or none, and why.
        """
        known = {spec.seed: self._of_run(spec) for spec in specs}
        together = [
            {record.spec.seed: record for record in sorted(group, key=lambda record: len(record.episode_scores))}
            for group in latest_versions(record for records in known.values() for record in records)
        ]
        # Of several devices or data sets the one with most seeds, of equals the same for every method.
        chosen = max(sorted(together, key=lambda each: _place(*each.values())), key=len, default={})
        found = []
        for spec in specs:
            record = chosen.get(spec.seed)
            name = f"{method_text(spec)} at {shots_text(spec.shots)}, seed {spec.seed}"
            if record is None:
                unlike = " with the code, data and device of the other seeds" if known[spec.seed] else ""
                return [], f"{name}, was not run{unlike}"
            if record.status != "ok":
                return [], f"{name}, was {record.status.replace('_', ' ')}: {record.reason}"
            found.append(record)
        return found, ""

    def _of_run(self, spec: RunSpec) -> list[Record]:
        """Records of a run; default numbers of queries and episodes may have shrunk to those that the data have."""
        records = self._known.get(_key(spec), [])
        return [record for record in records if record.spec == spec] or records


def _place(record: Record, *_: Record) -> tuple[str, str]:
    """Kind of device and data of records that have these in common."""
    return device_kind_of(record.identity), data_of(record)


def _key(spec: RunSpec) -> str:
    return spec.model_dump_json(exclude={"episodes", "queries"})


def pairs_to_measure(
    cells: Iterable[PlannedCell], found: FoundRecords
) -> Mapping[tuple[str, str], tuple[Shots, Record, Record, frozenset[str]]]:
    """Pairs of runs whose costs are to be measured in turn.

    Args:
        cells: Cells of any claims.
        found: Records of their runs.

    Returns:
        By both ids the number of shots, both records and the axes that conditions are on.
    """
    pairs: dict[tuple[str, str], tuple[Shots, Record, Record, frozenset[str]]] = {}
    for cell in cells:
        if not cell.is_measured or cell.condition.cost is None:
            continue
        (own, _), (other, _) = found.of(cell.own[:1]), found.of(cell.other[:1])
        if own and other:
            ids = own[0].id, other[0].id
            axes = pairs[ids][3] if ids in pairs else frozenset[str]()
            pairs[ids] = cell.shots, own[0], other[0], axes | {cell.condition.cost}
    return pairs
