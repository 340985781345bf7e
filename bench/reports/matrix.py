"""Matrix of methods by tasks at one number of shots: scores, the best of them, mean ranks and ranges of ranks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench import registry
from bench.reports.overview import amount, name_in_sentence, row_title
from bench.reports.row import Row, has_score, scorer
from bench.reports.standings import ranks_at
from bench.results.record import Record
from bench.results.run_texts import queries_text, shots_rank, ways_text
from bench.spec.run_spec import Shots
from bench.stats.ranks import Overview, rank_over_tasks
from bench.toolkit.counted import counted
from bench.toolkit.visible import shortened

LONGEST = 80
"""Most characters of a name in the matrix and in sentences."""


class Scale(NamedTuple):
    """What scores of one column have in common: these are compared with each other.

    Attributes:
        task: Name of the task.
        backbone: Name of the backbone.
        metric: Name of the metric.
        protocol: Version of the harness.
        ways: Classes per episode; None for all.
        queries: Queries per class; None for all.
    """

    task: str
    backbone: str
    metric: str
    protocol: int
    ways: int | None
    queries: int | None


@dataclass(frozen=True)
class Column:
    """A task in the matrix.

    Attributes:
        scale: What its scores have in common.
        mark: What distinguishes it from other columns of the same task and backbone; empty if nothing needs to.
        is_tested: Whether paired tests compared its methods, on enough episodes or queries to find a difference.
        is_decided: Whether they found one.
    """

    scale: Scale
    mark: str
    is_tested: bool
    is_decided: bool

    @property
    def name(self) -> str:
        """The task, for sentences, with what distinguishes the column."""
        return f"{self.scale.task} ({self.mark})" if self.mark else self.scale.task


@dataclass(frozen=True)
class Cell:
    """The row of a method on a task.

    Attributes:
        place: Number of the row on the leaderboard.
        row: The row.
        ranks: Best and worst rank that the tests leave open; None without tests or without a score.
        is_best: Whether it has a score and no other is significantly better; without tests, whether none is higher.
    """

    place: int
    row: Row
    ranks: tuple[int, int] | None
    is_best: bool


@dataclass(frozen=True)
class Line:
    """A method in the matrix.

    Attributes:
        name: The method with settings and budget.
        mean_rank: Mean of its ranks over the tasks, of several columns of a task that with most methods; None for a
            method without a score on one of them.
        ranks: Best and worst rank that the tests leave open, means over those of these columns with tests; empty
            without them.
        cells: Its row on each task; None where it was not run.
    """

    name: str
    mean_rank: float | None
    ranks: str
    cells: tuple[Cell | None, ...]

    @property
    def short(self) -> str:
        """The name for sentences, without commas of its own, or the beginning of a long one."""
        return shortened(name_in_sentence(next(cell.row for cell in self.cells if cell is not None)), LONGEST)

    def is_best(self, place: int) -> bool:
        """Whether it is among the best on a task.

        Args:
            place: Number of the task.

        Returns:
            True for the best, and for those that no test shows to be worse.
        """
        cell = self.cells[place]
        return cell is not None and cell.is_best

    def scored(self, place: int) -> Row | None:
        """Its row on a task.

        Args:
            place: Number of the task.

        Returns:
            The row; None where it has no score.
        """
        cell = self.cells[place]
        return None if cell is None or cell.row.value is None else cell.row

    @property
    def n_best(self) -> int:
        """Number of tasks on which it is among the best."""
        return sum(map(self.is_best, range(len(self.cells))))

    @property
    def n_scored(self) -> int:
        """Number of tasks on which it has a score."""
        return sum(self.scored(place) is not None for place in range(len(self.cells)))


@dataclass(frozen=True)
class Matrix:
    """Methods by tasks at one number of shots; methods without a support set are in the matrix of every number.

    Attributes:
        shots: The number of shots.
        columns: The tasks.
        lines: The methods, those with the lowest mean rank first.
        over_tasks: Mean ranks with Friedman's and Nemenyi's tests, of the methods with a score on every task that has
            scores of two methods, of several columns of a task on that with most methods; None for fewer than two.
        n_left_out: Rows that another of the same name stands for: that with more episodes or, of several searches, with
            the better validation score.
    """

    shots: Shots
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    over_tasks: Overview | None
    n_left_out: int

    @property
    def contested(self) -> list[int]:
        """Places of the tasks with scores of two methods or more."""
        places = range(len(self.columns))
        return [place for place in places if sum(line.scored(place) is not None for line in self.lines) > 1]

    @property
    def n_contested(self) -> int:
        """Number of these tasks."""
        return len(self.contested)

    @property
    def repeats_tasks(self) -> bool:
        """Whether several of these columns are of one task, with other queries for example."""
        return len({self.columns[place].scale[:2] for place in self.contested}) < self.n_contested

    @property
    def contested_text(self) -> str:
        """Their number in words: "3 tasks", or "3 task settings" where some are of one task."""
        return counted(self.n_contested, "task setting" if self.repeats_tasks else "task")

    @property
    def n_scored(self) -> int:
        """Number of cells with a score."""
        return sum(line.n_scored for line in self.lines)


def matrices(rows: Sequence[Row], records: Mapping[str, Record]) -> list[Matrix]:
    """The matrices of a leaderboard.

    Args:
        rows: Its rows; those over several templates, which repeat others, are left out.
        records: Records of the rows, by id.

    Returns:
        One for each number of shots at which a row has a score, in order. Methods without a support set have a matrix
        of their own on tasks where nothing else has a score.
    """
    found: dict[Scale, dict[Shots, list[int]]] = {}
    without: dict[tuple[str, str], list[int]] = {}
    for place, row in enumerate(rows):
        if row.templates > 1:
            continue
        if has_score(row):
            spec = records[row.runs[0]].spec
            scale = Scale(row.task, row.backbone, row.metric, row.protocol, spec.ways, spec.queries)
            found.setdefault(scale, {}).setdefault(row.shots, []).append(place)
        else:
            without.setdefault((row.task, row.backbone), []).append(place)
    at_shots: dict[Shots, dict[Scale, list[int]]] = {}
    for scale, by_shots in found.items():
        always = by_shots.pop(0, [])
        for shots, places in (by_shots or {0: []}).items():
            at_shots.setdefault(shots, {})[scale] = sorted([*places, *always])
    entries = [Entry(row, row_title(row), _evidence(row, records)) for row in rows]
    return [_matrix(shots, at_shots[shots], without, entries) for shots in sorted(at_shots, key=shots_rank)]


class Entry(NamedTuple):
    """A row with what decides whether it is shown.

    Attributes:
        row: The row.
        name: Its method with settings and budget.
        evidence: Sort key among rows of one name: the last one stands for the others.
    """

    row: Row
    name: str
    evidence: tuple[int, float]


def _evidence(row: Row, records: Mapping[str, Record]) -> tuple[int, float]:
    """Number of episodes, and validation score of the search: scores on queries choose nothing."""
    tuning = records[row.runs[0]].spec.tuning
    validation = registry.make_metric(row.metric).sort_score(tuning.score) if tuning and row.value is not None else 0.0
    return row.episodes, validation


def _matrix(
    shots: Shots, scored: Mapping[Scale, list[int]], without: Mapping[tuple[str, str], list[int]],
    entries: Sequence[Entry],
) -> Matrix:  # fmt: skip
    """The matrix at one number of shots; ``scored``, ``without``: places of rows with a score, and of others."""
    marks = _marks(list(scored))
    columns, found = list[Column](), list[dict[str, Cell]]()
    for scale, places in scored.items():
        cells, is_tested = _scored_cells(places, entries, shots)
        n_best = sum(cell.is_best for cell in cells.values())
        columns.append(Column(scale, marks[scale], is_tested, is_tested and 0 < n_best < len(cells)))
        found.append(cells)
    counting = _counting(columns, found)
    over = _over_tasks([found[place] for place in counting])
    n_left_out = sum(len(places) for places in scored.values()) - sum(len(cells) for cells in found)
    for column, cells in zip(columns, found, strict=True):
        for place in without.get(column.scale[:2], []):
            if entries[place].row.shots in {shots, 0}:
                cells.setdefault(entries[place].name, Cell(place, entries[place].row, None, False))
    lines = []
    for name in dict.fromkeys(name for cells in found for name in cells):
        own = tuple(cells.get(name) for cells in found)
        mean_rank = None if over is None else over.mean_rank.get(name)
        lines.append(Line(name, mean_rank, _ranks_text(own, columns, counting), own))
    return Matrix(shots, tuple(columns), tuple(sorted(lines, key=_order)), over, n_left_out)


def _scored_cells(
    places: Sequence[int], entries: Sequence[Entry], shots: Shots
) -> tuple[dict[str, Cell], bool]:  # fmt: skip
    """Cells of one task by name, and whether tests compared them; ``places``: those of its rows with a score."""
    chosen = dict[str, int]()
    for place in places:
        name = entries[place].name
        if name not in chosen or entries[place].evidence > entries[chosen[name]].evidence:
            chosen[name] = place
    sort_score = scorer()
    highest = max(sort_score(entries[place].row) for place in chosen.values())
    is_tested = any((row := entries[place].row).tier is not None and row.shots == shots for place in places)

    def cell(place: int) -> Cell:
        row = entries[place].row
        ranks = ranks_at(row.ranks, shots) if is_tested else None
        is_highest = len(chosen) > 1 and sort_score(row) == highest
        return Cell(place, row, ranks, is_highest if ranks is None else ranks[0] == 1)

    return {name: cell(place) for name, place in chosen.items()}, is_tested


def _counting(columns: Sequence[Column], found: Sequence[Mapping[str, Cell]]) -> list[int]:
    """Places of the columns that ranks are means over; ``found``: cells of rows with a score, by column and name."""

    # One of each task: that with most methods; of several, that of the later protocol, with more queries or classes.
    def evidence(place: int) -> tuple[float, ...]:
        scale = columns[place].scale
        return len(found[place]), scale.protocol, amount(scale.queries), amount(scale.ways)

    chosen = dict[tuple[str, str], int]()
    for place, column in enumerate(columns):
        task = (column.scale.task, column.scale.backbone)
        if task not in chosen or evidence(place) > evidence(chosen[task]):
            chosen[task] = place
    return sorted(chosen.values())


def _ranks_text(cells: Sequence[Cell | None], columns: Sequence[Column], counting: Sequence[int]) -> str:
    """The range of ranks of a method with a score on all tasks with tests; ``counting``: places of their columns."""
    found = [None if (cell := cells[place]) is None else cell.ranks for place in counting if columns[place].is_tested]
    ranges = [ranks for ranks in found if ranks is not None]
    if not ranges or len(ranges) < len(found):
        return ""
    best, worst = (sum(ends) / len(ranges) for ends in zip(*ranges, strict=True))
    text = "{:.0f}" if len(columns) == 1 else "{:.1f}"
    return text.format(best) if best == worst else f"{text.format(best)} to {text.format(worst)}"


def _over_tasks(found: Sequence[Mapping[str, Cell]]) -> Overview | None:
    """Mean ranks of the methods with a score on every task that has rivals; ``found``: cells of each task by name."""
    contested = [cells for cells in found if len(cells) > 1]
    complete = sorted(set(contested[0]).intersection(*contested)) if contested else []
    if len(complete) < 2:
        return None
    sort_score = scorer()
    return rank_over_tasks(
        {
            str(number): {name: sort_score(cells[name].row) for name in complete}
            for number, cells in enumerate(contested)
        }
    )


def _order(line: Line) -> tuple[bool, float, int, int, str]:
    return line.mean_rank is None, line.mean_rank or 0.0, -line.n_best, -line.n_scored, line.name


def _marks(scales: Sequence[Scale]) -> dict[Scale, str]:
    """What distinguishes each column from others of its task and backbone; empty for most."""
    marks = {}
    for scale in scales:
        others = [other for other in scales if other[:2] == scale[:2]]
        parts = {
            "metric": scale.metric,
            "protocol": f"protocol {scale.protocol}",
            "ways": ways_text(scale.ways),
            "queries": queries_text(scale.queries),
        }
        telling = [part for field, part in parts.items() if len({getattr(other, field) for other in others}) > 1]
        marks[scale] = ", ".join(telling)
    return marks
