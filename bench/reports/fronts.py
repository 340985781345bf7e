"""Pareto fronts of score against cost."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.reports.row import Row, comparable, cost_device, has_score, scorer
from bench.spec.axes import AXES

FRONTS = {axis.front: axis for axis in AXES if axis.front}
"""The costs that Pareto fronts are of, by the front's name."""


def mark_pareto(given: list[Row]) -> list[Row]:
    """The same rows, those on a Pareto front of score against cost marked."""
    sort_score = scorer()
    entries = [_Scored(row, comparable(row), cost_device(row), sort_score(row)) for row in given if has_score(row)]
    rivals: dict[tuple[Any, ...], list[_Scored]] = {}
    at_shots: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for entry in entries:
        if entry.key not in rivals:
            at_shots.setdefault(comparable(entry.row, shots=0), []).append(entry.key)
        rivals.setdefault(entry.key, []).append(entry)

    def boards(entry: _Scored) -> list[list[_Scored]]:
        """Its rivals; a method without a support set is one at every number of shots, and has those of each of them."""
        always = comparable(entry.row, shots=0)
        if entry.row.shots != 0:
            return [rivals[entry.key] + rivals.get(always, [])]
        return [rivals[entry.key] + rivals[key] * (key != entry.key) for key in at_shots[always]]

    def fronts(entry: _Scored, on_boards: list[list[_Scored]]) -> Iterator[str]:
        for name, axis in FRONTS.items():
            cost = getattr(entry.row, axis.row_field)
            if cost is not None and not all(_is_beaten(entry, cost, axis.row_field, board) for board in on_boards):
                yield name

    marks = {id(entry.row): "+".join(fronts(entry, boards(entry))) for entry in entries}
    return [row.model_copy(update={"pareto": marks.get(id(row), "")}) for row in given]


@dataclass(frozen=True)
class _Scored:
    """A row with a score, and what it is compared by."""

    row: Row
    key: tuple[Any, ...]
    device: str
    sort_score: float


def _is_beaten(entry: _Scored, cost: float, field: str, board: list[_Scored]) -> bool:
    """Whether another row of a board, measured on the same device, is at least as good and costs no more."""
    for other in board:
        other_cost = getattr(other.row, field) if other.device == entry.device else None
        if other_cost is None or other_cost > cost or other.sort_score < entry.sort_score:
            continue
        if other_cost < cost or other.sort_score > entry.sort_score:
            return True
    return False
