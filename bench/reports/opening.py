"""Opening of the page: the answer for each number of shots, in two sentences and a matrix of methods by tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench import registry
from bench.reports.answers import answer, listed, shots_phrase
from bench.reports.matrix import Line, Matrix, matrices
from bench.reports.overview import names_of
from bench.reports.row import Row
from bench.results.record import Record
from bench.results.row_sample import Find, no_predictions
from bench.results.run_texts import shots_rank

OWN = "faast"
"""The project's own method, which charts always show in colour."""
FIRST = 12
"""Methods of a matrix that are shown before a reader opens the others."""
MOST = 60
"""Most methods of a matrix in the page; the table has all of them."""


@dataclass(frozen=True)
class Part:
    """The opening for one number of shots.

    Attributes:
        matrix: Its matrix.
        at: The number of shots as a phrase.
        lines: The methods in the page, each with whether it is shown at first.
        sentences: What the matrix says.
        notes: How to read it, a sentence each.
    """

    matrix: Matrix
    at: str
    lines: tuple[tuple[Line, bool], ...]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def n_folded(self) -> int:
        """Number of methods that a reader opens."""
        return sum(not shown for _, shown in self.lines)

    @property
    def metrics(self) -> list[str]:
        """The metrics of its tasks, with their units and directions."""
        names = dict.fromkeys(column.scale.metric for column in self.matrix.columns)
        return [registry.make_metric(name).label for name in names]


@dataclass(frozen=True)
class Opening:
    """The opening of a page.

    Attributes:
        parts: One for each number of shots.
        first: The number of the part that is shown first: that with most scores.
    """

    parts: tuple[Part, ...]
    first: int


def opening(
    rows: Sequence[Row], records: Mapping[str, Record], find: Find = no_predictions, highlights: Sequence[str] = (OWN,)
) -> Opening:
    """The opening of a page.

    Args:
        rows: Rows of the leaderboard.
        records: Their records, by id.
        find: Looks up the predictions of a record.
        highlights: Methods that are always shown.

    Returns:
        The opening; without parts where no row has a score.
    """
    parts = []
    for matrix in matrices(rows, records):
        lines = _lines(matrix, highlights)
        notes = tuple(_notes(matrix, len(matrix.lines) - len(lines)))
        parts.append(Part(matrix, shots_phrase(matrix.shots), lines, tuple(answer(matrix, records, find)), notes))
    order = [(part.matrix.n_scored, shots_rank(part.matrix.shots)) for part in parts]
    return Opening(tuple(parts), order.index(max(order)) if order else 0)


def _lines(matrix: Matrix, highlights: Sequence[str]) -> tuple[tuple[Line, bool], ...]:
    """The methods in the page, and whether each is shown at first."""
    always = [
        any(cell is not None and not names_of(cell.row).isdisjoint(highlights) for cell in line.cells)
        for line in matrix.lines
    ]
    kept = [
        (line, place < FIRST or own)
        for place, (line, own) in enumerate(zip(matrix.lines, always, strict=True))
        if place < MOST or own
    ]
    # A button for one more method would be as high as its line.
    return tuple((line, shown or len(kept) <= FIRST + 1) for line, shown in kept)


def _notes(matrix: Matrix, n_left: int) -> list[str]:
    """How to read a matrix; ``n_left``: number of methods that the page has in its table alone."""
    notes = ["Bold: the best, and those that no paired test shows to be worse."]
    contested = [matrix.columns[place] for place in matrix.contested]
    untested = dict.fromkeys(column.name for column in contested if not column.is_tested)
    if untested:
        notes.append(f"On {listed(list(untested))} it is the highest score alone: too few items for a test.")
    if any(line.ranks for line in matrix.lines):
        notes.append("Rank range: the best and the worst rank that the tests leave open, means over tasks.")
    if matrix.over_tasks is None:
        notes.append("No mean rank: no two methods have a score on every task.")
    elif len(matrix.over_tasks.mean_rank) < len(matrix.lines):
        notes.append("Mean ranks are of the methods with a score on every task, among each other.")
    if matrix.over_tasks is not None and matrix.over_tasks.critical_difference is not None:
        least = matrix.over_tasks.critical_difference
        notes.append(f"Mean ranks closer than {least:.2f} cannot be distinguished (Nemenyi).")
    if matrix.repeats_tasks:
        notes.append("Mean rank and rank range count each task once: of its columns that with most methods.")
    if matrix.n_left_out:
        notes.append(
            "Of rows with one name, that with more episodes is shown and, of searches, that with the better validation "
            f"score; others: {matrix.n_left_out}."
        )
    if n_left:
        notes.append(f"The {n_left} methods behind these are in the table below.")
    return notes
