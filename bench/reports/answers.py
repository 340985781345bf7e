"""What a matrix says in two sentences: which method is best, and which is nearly as good in less time.

A sentence stands only where tests support it; elsewhere one says why there is none.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench import registry
from bench.reports.company import sign
from bench.reports.matrix import Line, Matrix
from bench.reports.row import Row, cost_device
from bench.reports.score_limit import score_limit_test
from bench.reports.tables import interval_text, number, score
from bench.results.record import Record
from bench.results.row_sample import Find
from bench.results.run_texts import shots_text
from bench.spec.run_spec import Shots
from bench.stats.intervals import ALPHA
from bench.stats.paired import holm

MARGIN = 1.0
"""Points by which a cheaper method may be worse, of scores from 0 to 100."""
SHARES = {0.1: "a tenth of", 0.5: "half"}
"""Shares of the best method's time that a cheaper one takes at most; the first that holds is named."""
TIMES = {
    "time_to_first_query": "time until the first answer",
    "adapt_seconds": "time to adapt, encoding not counted,",
}
"""Times of which a cheaper method takes a share, by their fields; the first for which there is one is named."""
MOST_NAMES = 3
"""Most methods in a list."""
MOST_TESTS = 60
"""Most tests for one sentence, of the most promising methods; all rivals count for Holm's adjustment."""


def answer(matrix: Matrix, records: Mapping[str, Record], find: Find) -> list[str]:
    """Sentences for the top of the page.

    Args:
        matrix: The matrix.
        records: Records of its rows, by id.
        find: Looks up the predictions of a record.

    Returns:
        The best method and the cheaper ones, each a sentence; or why no method is called best, and on a single task
        whose score is the highest.
    """
    if not _decided(matrix):
        why = f"No method is called best {shots_phrase(matrix.shots)}: {_undecided(matrix)}."
        return [why, _highest(matrix)] if matrix.n_contested and len(matrix.columns) == 1 else [why]
    leaders = _leaders(matrix)
    best = _best_of_one(matrix, leaders) if len(matrix.columns) == 1 else _best_of_several(matrix, leaders)
    return [f"{best}.", f"{_cheaper(matrix, leaders[0], records, find)}."]


def shots_phrase(shots: Shots) -> str:
    """A number of shots as a phrase.

    Args:
        shots: The number.

    Returns:
        For example "at 5 shots", "without examples" or "with all examples".
    """
    if shots in {0, "full"}:
        return "with all examples" if shots else "without examples"
    return f"at {shots_text(shots)}"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence, the first three of many with the number of the others.

    Args:
        names: One name or more.

    Returns:
        For example "a, b, c and 4 others".
    """
    if len(names) == 1:
        return names[0]
    shown = list(names) if len(names) <= MOST_NAMES + 1 else [*names[:MOST_NAMES], f"{len(names) - MOST_NAMES} others"]
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def _decided(matrix: Matrix) -> list[int]:
    """Places of the tasks on which tests find a difference."""
    return [place for place, column in enumerate(matrix.columns) if column.is_decided]


def _undecided(matrix: Matrix) -> str:
    """Why no method is best: no rivals, too few items, or no difference."""
    if matrix.n_contested == 0:
        return "no task has scores of two methods"
    if any(column.is_tested for column in matrix.columns):
        return "paired tests find no difference between the methods"
    places = range(len(matrix.columns))
    rows = [row for line in matrix.lines for place in places if (row := line.scored(place)) is not None]
    return next((f"on {row.task} {row.too_few}" for row in rows if row.too_few), "no test compares the methods")


def _leaders(matrix: Matrix) -> list[Line]:
    """The methods that are best on most of the decided tasks; of these, the one that is most often best alone first."""
    decided = _decided(matrix)
    counts = [sum(map(line.is_best, decided)) for line in matrix.lines]
    leaders = [line for line, count in zip(matrix.lines, counts, strict=True) if count == max(counts)]
    return sorted(leaders, key=lambda line: -_n_alone(line, matrix))


def _n_alone(line: Line, matrix: Matrix) -> int:
    """Number of decided tasks on which a method alone is best."""
    own = [place for place in _decided(matrix) if line.is_best(place)]
    return sum(sum(other.is_best(place) for other in matrix.lines) == 1 for place in own)


def _best_of_one(matrix: Matrix, leaders: Sequence[Line]) -> str:
    """The best method on the only task, by its score, and those that tests do not separate from it."""
    at = f"on {matrix.columns[0].scale.task} {shots_phrase(matrix.shots)}{_figures(leaders[0])}"
    if len(leaders) == 1:
        return f"{leaders[0].short} is best {at}"
    others = listed([line.short for line in leaders[1:]])
    return f"{leaders[0].short} has the highest score {at}; paired tests do not separate {others} from it"


def _highest(matrix: Matrix) -> str:
    """The sentence on the highest score of the only task, which is that of the first line."""
    line = matrix.lines[0]
    return f"The highest score on {matrix.columns[0].scale.task} is that of {line.short}{_figures(line)}."


def _figures(line: Line) -> str:
    """Score on the only task with its interval, and times, as ": accuracy 91.1% [79.3, 96.5], 1.25 s until ..."."""
    row = line.scored(0)
    if row is None:
        return ""
    metric = registry.make_metric(row.metric)
    unit = "%" if metric.unit == "%" else f" {metric.unit}".rstrip()
    text = f"{metric.title} {score(row.value, row.metric)}{unit}{interval_text(row)}"
    times = {"time_to_first_query": "s until the first answer", "query_milliseconds": "ms a query (features given)"}
    figures = [
        f"{number(value)}{sign(row, field)} {words}"
        for field, words in times.items()
        if (value := getattr(row, field)) is not None
    ]
    return f": {', '.join([text, *figures])}"


def _best_of_several(matrix: Matrix, leaders: Sequence[Line]) -> str:
    """The method that is best on most tasks, or the methods."""
    decided, first = _decided(matrix), leaders[0]
    n_best, n_alone = sum(map(first.is_best, decided)), _n_alone(first, matrix)
    of_tasks = f"best on {n_best} of {matrix.contested_text} {shots_phrase(matrix.shots)}"
    if len(leaders) > 1:
        text = f"{listed([line.short for line in leaders])} are {of_tasks} each"
    elif n_alone == n_best:
        text = f"{first.short} alone is {of_tasks}"
    else:
        text = f"{first.short} is {of_tasks}, on {n_alone or 'none'} of them alone"
    undecided = matrix.n_contested - len(decided)
    return f"{text}; tests find no difference on {undecided}" if undecided else text


@dataclass(frozen=True)
class _Rival:
    """A method that takes less time than the best one on a task.

    line: the method. row, best: both rows. ratios: of their times, by field. gap: its score above the best one's less
    the margin.
    """

    line: Line
    row: Row
    best: Row
    ratios: Mapping[str, float]
    gap: float


def _cheaper(matrix: Matrix, best: Line, records: Mapping[str, Record], find: Find) -> str:
    """The sentence on methods that are within MARGIN of the best one in a share of its time."""
    places = [place for place, column in enumerate(matrix.columns) if _takes_margin(column.scale.metric)]
    if not places:
        return "No cheaper method is named: a margin of 1 point is for scores from 0 to 100"
    pairs = [
        (line, own, other)
        for place in places
        for line in matrix.lines
        if line is not best and (own := line.scored(place)) is not None and (other := best.scored(place)) is not None
    ]
    compared = [(*pair, ratios) for pair in pairs if (ratios := _time_ratios(*pair[1:]))]
    if not compared:
        return "No cheaper method is named: times were not measured, or not alone on one device"
    rivals = [
        _Rival(line, own, other, ratios, _difference(own, other) + MARGIN)
        for line, own, other, ratios in compared
        if min(ratios.values()) <= max(SHARES)
    ]
    shown = _confirmed(rivals, records, find)
    for field, time in TIMES.items():
        for share, words in SHARES.items():
            if found := [rival for rival in shown if rival.ratios.get(field, 1.0) <= share]:
                text = _rivals_text(found, matrix, field)
                return f"By paired tests within 1 point of {best.short} in {words} its {time} or less: {text}"
    return f"No method is shown to be within 1 point of {best.short} in half its time or less"


def _takes_margin(metric: str) -> bool:
    low, high = registry.make_metric(metric).bounds
    return high - low == 100


def _time_ratios(own: Row, best: Row) -> dict[str, float]:
    """Ratios of times by field; none unless both were measured, alone, on one device."""
    if own.company or best.company or cost_device(own) != cost_device(best):
        return {}
    times = {field: (getattr(own, field), getattr(best, field)) for field in TIMES}
    return {field: time / other for field, (time, other) in times.items() if time is not None and other}


def _difference(own: Row, best: Row) -> float:
    """How much better a score is than the best one's; negative where it is worse."""
    metric = registry.make_metric(own.metric)
    return metric.sort_score(own.value or 0.0) - metric.sort_score(best.value or 0.0)


def _confirmed(rivals: Sequence[_Rival], records: Mapping[str, Record], find: Find) -> list[_Rival]:
    """The rivals that are worse by less than MARGIN, by tests of non-inferiority that are adjusted for all rivals."""
    near = [rival for rival in rivals if rival.gap > 0]
    counts = Counter(rival.line.name for rival in near)
    tried = sorted(near, key=lambda rival: (-counts[rival.line.name], min(rival.ratios.values())))[:MOST_TESTS]
    p_values = [1.0] * len(rivals)
    for place, rival in enumerate(tried):
        own, other = ([records[one] for one in row.runs] for row in (rival.row, rival.best))
        tested = score_limit_test(own, other, -MARGIN, find)
        if tested is not None and tested[1].gap > 0:
            p_values[place] = tested[1].p_value
    return [rival for rival, p_value in zip(tried, holm(p_values), strict=False) if p_value < ALPHA]


def _rivals_text(found: Sequence[_Rival], matrix: Matrix, field: str) -> str:
    """The methods with the number of tasks of each, or with the times of a field where there is one task."""
    by_name: dict[str, list[_Rival]] = {}
    for rival in found:
        by_name.setdefault(rival.line.name, []).append(rival)
    ordered = sorted(by_name.values(), key=lambda own: (-len(own), min(rival.ratios[field] for rival in own)))
    if matrix.n_contested > 1:
        return listed([f"{own[0].line.short} on {len(own)} of {matrix.contested_text}" for own in ordered])
    times = listed([f"{own[0].line.short} in {number(getattr(own[0].row, field))} s" for own in ordered])
    return f"{times} against {number(getattr(found[0].best, field))} s"
