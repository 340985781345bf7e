"""Ranks of methods over all tasks of a leaderboard."""

from collections.abc import Mapping, Sequence

import numpy as np

from bench.reports.row import Row, has_score, scorer
from bench.results.run_texts import task_and_form
from bench.stats.ranks import Overview, rank_over_tasks
from bench.toolkit.counted import noun_of

Draw = tuple[str, int | None]
"""Form of the prompts, and number of queries."""


def row_name(row: Row) -> str:
    """The method of a row as the page names it: with settings or search, and what a reader must know of it.

    Args:
        row: The row.

    Returns:
        For example ``faast [prior=none]``. A search finds other values for each task and number of shots, so that such
        rows are named by the number of its trials.
    """
    return ", ".join([_method(row), *_marks(row)])


def _method(row: Row) -> str:
    return row.method if row.tuning_trials else row.method_text


def _marks(row: Row) -> list[str]:
    """What a reader must know of a row's method."""
    return [
        *[f"tuned by {row.tuning_trials} {noun_of(row.tuning_trials, 'trial')}"] * bool(row.tuning_trials),
        *[row.form] * bool(row.form),
        *["transductive"] * row.transductive,
        *["contract suite not passed"] * (row.contract in {"failed", "not run"}),
    ]


def name_in_sentence(row: Row) -> str:
    """The name of a row's method with its budget, without commas of its own.

    Args:
        row: The row.

    Returns:
        For example ``faast (tuned by 20 trials) · state_mb=1``.
    """
    return " ".join([_method(row), *(f"({mark})" for mark in _marks(row))]) + _budget(row)


def _budget(row: Row) -> str:
    return f" · {row.budget}" * bool(row.budget)


def row_title(row: Row) -> str:
    """The name of a row's method with its budget.

    Args:
        row: The row.

    Returns:
        For example ``faast [prior=none] · state_mb=1``.
    """
    return row_name(row) + _budget(row)


def names_of(row: Row) -> set[str]:
    """The names by which a reader highlights the method of a row.

    Args:
        row: The row.

    Returns:
        The method's at any site, at its own, and with all settings as ``row_title`` has them.
    """
    return {row.method.partition("@")[0], row.method, row_title(row)}


def overview(rows: Sequence[Row]) -> Overview | None:
    """Mean ranks over the tasks, by backbone, of methods with a score on all of them at all numbers of shots.

    A task counts once: its scores are averaged over shots and ways, which are no independent evidence. Of several
    forms of its prompts and numbers of queries those with most methods count. Methods without a support set are left
    out.

    Args:
        rows: Rows of a leaderboard.

    Returns:
        The ranks; None for fewer than two tasks or two methods.
    """
    sort_score = scorer()
    found: dict[tuple[str, str], dict[tuple[object, object], dict[Draw, dict[str, float]]]] = {}
    several_precisions = len({row.precision for row in rows if has_score(row)}) > 1
    for row in rows:
        # A row over templates says again what the rows of each template do; a quick look is no further task.
        if has_score(row) and row.shots != 0 and row.templates == 1 and not row.limit:
            name = f"{row.full_name} {row.precision}" if several_precisions else row.full_name
            task, form = task_and_form(row.task)
            draws = found.setdefault((task, row.backbone), {}).setdefault((row.shots, row.ways), {})
            draws.setdefault((form, row.queries), {})[name] = sort_score(row)
    cells = {
        task: {(draw, name): score for draw, by_form in draws.items() for name, score in _most(by_form).items()}
        for task, draws in found.items()
    }
    several = len({task for task, _ in cells}) < len(cells)
    complete = {method for scores in cells.values() for _, method in scores}
    for scores in cells.values():
        own = {draw for draw, _ in scores}
        complete = {method for method in complete if all((draw, method) in scores for draw in own)}
    if len(cells) < 2 or len(complete) < 2:
        return None
    return rank_over_tasks(
        {
            f"{task} on {backbone}" if several else task: {
                name: float(np.mean([score for (_, method), score in scores.items() if method == name]))
                for name in sorted(complete)
            }
            for (task, backbone), scores in cells.items()
        }
    )


def _most(by_form: Mapping[Draw, dict[str, float]]) -> dict[str, float]:
    """The scores with most methods; of several those of the task's own form, and of the largest number of queries."""
    return by_form[max(by_form, key=lambda draw: (len(by_form[draw]), draw[0] == "", amount(draw[1])))]


def amount(number: int | None) -> float:
    """A number of classes or queries as a sort key.

    Args:
        number: The number; None for all.

    Returns:
        The number, or infinity.
    """
    return float("inf") if number is None else number


def overview_text(found: Overview) -> str:
    """The ranks in one paragraph.

    Args:
        found: The ranks.

    Returns:
        Plain text.
    """
    ranks = ", ".join(f"{name} {rank:.2f} ({found.normalised[name]:.0f})" for name, rank in found.mean_rank.items())
    text = f"Over {len(found.tasks)} tasks, mean rank (normalised mean, 0 the worst and 100 the best): {ranks}."
    if found.critical_difference is None:
        return text
    groups = "; ".join(", ".join(group) for group in found.groups)
    return (
        f"{text} Friedman's p {found.friedman_p:.2g}; mean ranks closer than {found.critical_difference:.2f} cannot be "
        f"distinguished: {groups}."
    )
