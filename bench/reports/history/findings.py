"""Findings of a history: its states and lines, their changes, and what stands out in the latest state."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.contracts.errors import UsageError, did_you_mean
from bench.reports.history.changes import Change, Outlier, changes_of, outliers_of
from bench.reports.history.line import Line, lines_of, states_of
from bench.reports.history.point import Point, State
from bench.reports.kinds import Only
from bench.reports.row_names import RowKey, row_names
from bench.toolkit.counted import counted

_KINDS = {"scores": "score", "costs": "cost"}


@dataclass(frozen=True)
class Findings:
    """What a history shows.

    Attributes:
        states: The states, by time.
        lines: The lines, by row.
        changes: The changes, the latest first.
        outliers: Lines that the latest state does not continue.
        without_score: Points of the latest state without a score.
        names: Names of rows.
    """

    states: list[State]
    lines: list[Line]
    changes: list[Change]
    outliers: list[Outlier]
    without_score: list[Point]
    names: dict[RowKey, str]

    @classmethod
    def of(cls, points: Sequence[Point], task: Sequence[str] = (), only: Only | None = None) -> "Findings":
        """The findings of a history.

        Args:
            points: Its points, by time.
            task: Only these tasks, or further durations by their names; all where none is named.
            only: "scores" or "costs".

        Returns:
            The findings. Changes are adjusted for the lines that are shown.

        Raises:
            UsageError: For a task that the history does not have, and if ``ruptures`` is not installed.
        """
        known = {name for point in points for name in (point.row.task, point.row.task.partition(" [")[0])}
        for name in task:
            if name not in known:
                raise did_you_mean("task", name, known, "in the history")
        shown = [
            point
            for point in points
            if (not task or {point.row.task, point.row.task.partition(" [")[0]} & set(task))
            and (only is None or point.kind == _KINDS[only])
        ]
        if not shown:
            raise UsageError(f"the history has no {only or 'points'}")
        lines, states = lines_of(shown), states_of(points)
        changes = changes_of(lines)
        return cls(
            states,
            lines,
            changes,
            outliers_of(lines, changes, states[-1]),
            [point for point in shown if point.value is None and point.state.id == states[-1].id],
            row_names(point.row for point in shown),
        )

    def summary(self) -> str:
        """Numbers of findings, in one line."""
        worse = sum(change.is_worse for change in self.changes)
        changes = f"{counted(len(self.changes), 'change')}, {worse} for the worse" if self.changes else "no change"
        latest = f"; the latest, {short(self.states[-1].commit)}, stands out in {counted(len(self.outliers), 'line')}"
        missing = f"; without a score: {counted(len(self.without_score), 'row')}" if self.without_score else ""
        places = f"{counted(len(self.lines), 'line')} over {counted(len(self.states), 'state')}"
        return f"{changes}, in {places}{latest}{missing}"


def short(commit: str) -> str:
    """A commit as it is shown: twelve digits of a hash, and all of any other name."""
    hash_, dirty, rest = commit.partition("-")
    is_hash = len(hash_) == 40 and all(letter in "0123456789abcdef" for letter in hash_)
    return f"{hash_[:12]}{dirty}{rest}" if is_hash else commit
