"""Methods over tasks: which methods are counted, and the paragraph of a table."""

import pytest

from bench.reports.overview import overview, overview_text, row_title
from bench.reports.rows import rows
from bench.reports.tables import FORMATS
from tests.helpers.records import made

SCORES = {"a": 80.0, "b": 70.0, "c": 60.0}


def board(tasks="tu", shots=(1, 5), without=(), **changes):
    return rows(
        made(
            {"task": task, "method": method, "shots": number, "config": {}},
            episode_scores=[score],
            value=score,
            **changes,
        )
        for task in tasks
        for method, score in SCORES.items()
        for number in shots
        if (task, method, number) not in without
    )


def test_methods_are_ranked_by_their_means_over_shots_of_each_task():
    found = overview(board())
    assert found.tasks == ["t", "u"]
    assert found.mean_rank == {"a": 1, "b": 2, "c": 3}
    assert found.normalised == {"a": 100, "b": 50, "c": 0}
    assert found.groups == [["a", "b", "c"]]  # two tasks tell nothing apart
    assert overview_text(found).startswith(
        "Over 2 tasks, mean rank (normalised mean, 0 the worst and 100 the best): a 1.00 (100), b"
    )
    assert "closer than 2.34 cannot be distinguished: a, b, c." in overview_text(found)


def test_a_task_of_several_ways_counts_once_by_the_mean_of_all():
    """Of a method's rows of one name neither stands for the other."""
    few = [
        made({"task": "t", "method": method, "ways": 3, "config": {}}, episode_scores=[score], value=score)
        for method, score in (("a", 50.0), ("b", 90.0), ("c", 95.0))
    ]
    found = overview([*board(shots=(5,)), *rows(few)])
    assert found.tasks == ["t", "u"]
    # On t the means are 65, 80 and 77.5.
    assert found.mean_rank == {"b": 1.5, "a": 2, "c": 2.5}


def test_of_several_numbers_of_queries_that_with_most_methods_counts():
    few = [
        made({"task": "t", "method": method, "queries": 9, "config": {}}, episode_scores=[score], value=score)
        for method, score in (("a", 50.0), ("b", 90.0))
    ]
    assert overview([*board(shots=(5,)), *rows(few)]) == overview(board(shots=(5,)))


def test_forms_of_the_prompts_of_one_task_are_no_further_tasks():
    """They have the queries in common."""
    forms = [
        made({"task": "t", "method": method, "config": {}, **form}, episode_scores=[score], value=score)
        for form in ({"template": 1}, {"template": "a [b]: {text}"}, {"prompt": "chat"})
        for method, score in (("a", 50.0), ("b", 90.0))
    ]
    assert overview([*board(shots=(5,)), *rows(forms)]) == overview(board(shots=(5,)))
    assert overview([*board(tasks="t", shots=(5,)), *rows(forms)]) is None


def test_a_lower_perplexity_ranks_first():
    assert overview(board(metric="perplexity")).mean_rank == {"c": 1, "b": 2, "a": 3}


def test_only_methods_with_all_scores_are_counted():
    found = overview(board(without={("u", "b", 5)}))
    assert found.mean_rank == {"a": 1, "c": 2}
    assert found.critical_difference is None
    assert overview_text(found).endswith("a 1.00 (100), c 2.00 (0).")


@pytest.mark.parametrize("few", [{"tasks": "t"}, {"shots": (0,)}, {"without": {("t", "b", 1), ("u", "c", 5)}}])
def test_too_few_tasks_or_methods_have_no_overview(few):
    assert overview(board(**few)) is None
    assert "mean rank" not in FORMATS["markdown"](board(**few))


def test_tables_tell_it():
    for name in ("table", "markdown"):
        assert "mean rank" in FORMATS[name](board())


def test_a_title_says_what_a_reader_must_know_of_a_method():
    (row,) = rows([made(notes={"form": "untrained: a fixed rule"})])
    failed = row.model_copy(update={"contract": "failed"})
    assert row_title(failed) == "m [alpha=0.1], untrained, contract suite not passed"
    known = {"tuning_trials": 20, "transductive": True, "budget": "state_mb=1"}
    assert row_title(row.model_copy(update=known)) == "m, tuned by 20 trials, untrained, transductive · state_mb=1"
