"""The opening of the page: the matrix of methods by tasks, and sentences that stand only where tests support them."""

import re

import pytest

from bench.reports.answers import listed
from bench.reports.matrix import matrices
from bench.reports.opening import FIRST, MOST, opening
from bench.reports.rows import rows
from bench.reports.standings import Standing, _joined, ranks_at
from bench.results.store import Store
from bench.spec.tuning import Tuning
from tests.helpers.pages import board, cost, made_page, scored, unscored
from tests.helpers.records import HARD, made

FIGURES = "accuracy NUMBER% [NUMBER, NUMBER], NUMBER s until the first answer, NUMBER ms a query (features given)"
LEVELS = {"best": 0.0, "near": 0.3, "far": 20.0}
"""How much worse each method is than the first, in points."""


def result(method, task="t", less=None, seconds=1.0, n_queries=4000, **spec):
    """A record of 20 episodes, all of them worse than the best one's by the same number of points."""
    scores = HARD - (LEVELS[method] if less is None else less)
    spec = {"task": task, "method": method, "config": {}, "shots": 5} | spec
    return made(
        spec, episode_scores=scores.tolist(), value=float(scores.mean()), n_queries=n_queries, costs=cost(seconds, 10.0)
    )


def opened(records):
    return opening(rows(records), {record.id: record for record in records})


def sentences(*records):
    return list(opened(records).parts[-1].sentences)


def test_the_matrix_has_ranks_with_their_ranges_and_the_best_of_each_task():
    records = [result(method, task) for task in "tu" for method in LEVELS]
    records += [result("free", task, less=30.0, shots=0) for task in "tu"]
    records += [result("some", "t", less=10.0), unscored("none", "skipped", "reads texts")]
    (part,) = opened(records).parts
    assert [column.scale.task for column in part.matrix.columns] == ["t", "u"]
    lines = {line.name: line for line in part.matrix.lines}
    # Of the four with a score on both tasks; the others follow.
    assert {name: line.mean_rank for name, line in lines.items()} == {
        "best": 1, "near": 2, "far": 3, "free": 4, "some": None, "none": None,
    }  # fmt: skip
    assert list(lines)[:4] == ["best", "near", "far", "free"]
    assert (lines["best"].ranks, lines["near"].ranks, lines["far"].ranks) == ("1.0", "2.0", "3.5")
    assert lines["some"].ranks == ""
    assert [lines["best"].is_best(place) for place in (0, 1)] == [True, True]
    assert not lines["near"].is_best(0)
    assert lines["some"].cells[1] is None
    assert [cell.row.status for cell in lines["none"].cells if cell is not None] == ["skipped"]
    assert "Mean ranks closer than" in " ".join(part.notes)


def test_each_number_of_shots_has_a_matrix_and_that_with_most_scores_is_first():
    records = [result(method, shots=shots) for method in LEVELS for shots in (1, 5)]
    records += [result("best", shots="full"), result("free", less=9.0, shots=0)]
    made_ = opened(records)
    assert [part.matrix.shots for part in made_.parts] == [1, 5, "full"]
    assert made_.first == 1
    assert all("free" in [line.name for line in part.matrix.lines] for part in made_.parts)


def test_scores_that_cannot_be_compared_are_columns_of_their_own():
    first, second = scored("a", 50.0), scored("b", 60.0)
    others = [scored("a", 3.0, metric="perplexity"), scored("b", 60.0, queries=9), scored("a", 55.0, backbone="c")]
    (found,) = matrices(rows([first, second, *others]), {record.id: record for record in [first, second, *others]})
    assert [(column.scale.backbone, column.mark) for column in found.columns] == [
        ("b", "accuracy, 3 queries"), ("b", "accuracy, 9 queries"), ("b", "perplexity, 3 queries"), ("c", "")
    ]  # fmt: skip
    # Tasks with one method rank nothing.
    assert (found.n_contested, found.over_tasks.mean_rank) == (1, {"b": 1, "a": 2})


def test_a_task_with_several_numbers_of_queries_counts_once_and_is_no_further_task():
    records = [result(method, task=task, queries=20) for task in "tu" for method in LEVELS]
    records += [result("best", queries=9), result("near", queries=9)]
    (part,) = opened(records).parts
    assert part.sentences[0].startswith("best alone is best on 3 of 3 task settings at 5 shots")
    assert "each task once: of its columns that with most methods" in " ".join(part.notes)
    ranks = {line.name: line.mean_rank for line in part.matrix.lines}
    assert set(ranks) == set(LEVELS)
    assert None not in ranks.values()
    assert ranks["best"] == 1
    (plain,) = opened([record for record in records if record.spec.queries == 20]).parts
    assert ranks == {line.name: line.mean_rank for line in plain.matrix.lines}
    assert plain.sentences[0].startswith("best alone is best on 2 of 2 tasks at 5 shots")
    assert "each task once" not in " ".join(plain.notes)


def test_of_several_searches_that_with_the_better_validation_score_is_shown():
    def searched(less, score, **config):
        tuning = Tuning(
            trials=9, seconds=1.0, sampler="tpe", objective="score", validation="splits", score=score, study="s"
        )
        return result("far", less=less, config=config, tuning=tuning)

    (part,) = opened([result("best"), searched(9.0, 50.0, a=1), searched(12.0, 60.0, a=2)]).parts
    row = part.matrix.lines[1].scored(0)
    assert (part.matrix.lines[1].short, row.config) == ("far (tuned by 9 trials)", "a=2")
    assert part.matrix.n_left_out == 1


def test_without_tests_only_the_highest_score_is_bold_and_the_note_says_so():
    (part,) = opened([scored("a", 50.0), scored("b", 60.0), scored("c", 55.0)]).parts
    assert [line.name for line in part.matrix.lines if line.is_best(0)] == ["b"]
    assert "On t it is the highest score alone" in " ".join(part.notes)


@pytest.mark.parametrize(
    ("records", "first"),
    [
        ([result("best"), result("far")], f"best is best on t at 5 shots: {FIGURES}."),
        (
            [result("best"), result("other", less=0.0), result("far")],
            f"best has the highest score on t at 5 shots: {FIGURES}; paired tests do not separate other from it.",
        ),
        (
            [result(method, task) for method in LEVELS for task in "tuv"],
            "best alone is best on 3 of 3 tasks at 5 shots.",
        ),
        (
            [
                *(result(method, task) for method in ("best", "far") for task in "tuv"),
                result("near", "t", less=0.0), result("near", "u", less=0.0), result("near", "v", less=30.0),
            ],
            "best is best on 3 of 3 tasks at 5 shots, on 1 of them alone.",
        ),
        (
            [result("a", "t", 0.0), result("b", "t", 9.0), result("a", "u", 9.0), result("b", "u", 0.0)],
            "a and b are best on 1 of 2 tasks at 5 shots each.",
        ),
        (
            [result("best"), result("far"), scored("best", 50.0, task="u"), scored("far", 60.0, task="u")],
            "best alone is best on 1 of 2 tasks at 5 shots; tests find no difference on 1.",
        ),
    ],
)  # fmt: skip
def test_the_best_method_is_named_where_tests_find_it(records, first):
    found = sentences(*records)
    assert re.sub(r"\d+\.\d+", "NUMBER", found[0]) == first
    assert len(found) == 2


@pytest.mark.parametrize(
    ("records", "why"),
    [
        ([scored("a", 50.0)], "no task has scores of two methods"),
        ([scored("a", 50.0), scored("b", 60.0)], "on t too few to tell"),
        ([result("a", less=0.0), result("b", less=0.0)], "paired tests find no difference between the methods"),
    ],
)
def test_no_method_is_called_best_without_a_test_that_says_so_and_the_reason_is_given(records, why):
    first, *more = sentences(*records)
    assert first.startswith(f"No method is called best at 5 shots: {why}")
    if len(records) == 1:
        assert more == []
    else:  # what there is to know of the only task
        (highest,) = more
        best = max(records, key=lambda one: one.value).spec.method
        assert highest.startswith(f"The highest score on t is that of {best}: accuracy ")
        assert highest.endswith(" s until the first answer, 0.1000 ms a query (features given).")


@pytest.mark.parametrize(
    ("seconds", "second"),
    [
        (0.05, "By paired tests within 1 point of best in a tenth of its time until the first answer or less: "
               "near on 2 of 2 tasks."),
        (0.4, "By paired tests within 1 point of best in half its time until the first answer or less: "
              "near on 2 of 2 tasks."),
        (0.9, "No method is shown to be within 1 point of best in half its time or less."),
    ],
)  # fmt: skip
def test_a_cheaper_method_is_named_where_it_is_shown_to_be_nearly_as_good(seconds, second):
    times = {"best": 1.0, "near": seconds, "far": 0.001}
    found = sentences(*(result(method, task, seconds=times[method]) for method in LEVELS for task in "tu"))
    assert found[1] == second


def test_a_score_that_seems_near_is_not_enough_for_the_sentence():
    # One of 100 answers could have been another: 0.3 points less may be more than one point.
    best, near = result("best", n_queries=100), result("near", seconds=0.01, n_queries=100)
    assert sentences(best, near)[1].startswith("No method is shown to be within 1 point of best")


def test_times_of_one_task_stand_in_the_sentence_and_those_of_two_devices_are_not_compared():
    quick = result("near", seconds=0.05)
    assert sentences(result("best"), quick)[1].endswith("near in 0.0500 s against 1.00 s.")
    elsewhere = quick.model_copy(update={"costs": quick.costs.model_copy(update={"device": "another"})})
    assert sentences(result("best"), elsewhere)[1].startswith("No cheaper method is named: times")


def test_the_time_to_adapt_counts_where_encoding_takes_most_of_the_time():
    best, near = result("best"), result("near", seconds=0.05)
    slow = {"encode": best.costs.encode.model_copy(update={"seconds": 9.0})}
    found = [one.model_copy(update={"costs": one.costs.model_copy(update=slow)}) for one in (best, near)]
    assert sentences(*found)[1] == (
        "By paired tests within 1 point of best in a tenth of its time to adapt, encoding not counted, or less: "
        "near in 0.0500 s against 1.00 s."
    )


def test_a_perplexity_has_no_margin_of_a_point():
    records = [
        made(
            {"task": "t", "method": method, "config": {}}, metric="perplexity",
            episode_scores=(HARD + less).tolist(), value=float((HARD + less).mean()),
        )
        for method, less in (("a", 0.0), ("b", 9.0))
    ]  # fmt: skip
    first, second = sentences(*records)
    assert re.fullmatch(r"a is best on t at 5 shots: perplexity per token [\d.]+ \[[\d.]+, [\d.]+\], .+\.", first)
    assert second.startswith("No cheaper method is named: a margin of 1 point")


def test_a_page_without_results_or_scores_says_so():
    assert "There is no result yet." in made_page([])
    assert "No result has a score" in made_page([unscored("a", "failed", "RuntimeError: defect")])


@pytest.mark.slow
def test_five_thousand_rows_fill_a_page_of_sixty_methods_of_which_a_dozen_are_shown():
    record = result("best")
    (first,) = rows([record])
    found = [
        first.model_copy(update={"task": f"t{number % 10}", "method": f"m{number // 10}", "value": 90 - number / 100,
                                 "tier": 1 + (number >= 10), "tiers": "1", "ranks": str(1 + number // 10)})
        for number in range(5000)
    ]  # fmt: skip
    (part,) = opening(found, {record.id: record}, highlights=("m300",)).parts
    names = [line.name for line, _ in part.lines]
    assert names == [*(f"m{number}" for number in range(MOST)), "m300"]
    assert [line.name for line, shown in part.lines if shown] == [*(f"m{number}" for number in range(FIRST)), "m300"]
    assert part.sentences[0] == "m0 alone is best on 10 of 10 tasks at 5 shots."
    assert part.notes[-1] == "The 439 methods behind these are in the table below."


def test_ranks_are_read_as_standings_write_them():
    standings = {1: "1 to 4", 5: "2", "full": "1 to 4"}
    joined = _joined({at: Standing(tier=1, tiers="1", ranks=ranks, too_few="") for at, ranks in standings.items()})
    assert {at: ranks_at(joined.ranks, at) for at in standings} == {1: (1, 4), 5: (2, 2), "full": (1, 4)}
    assert ranks_at(joined.ranks, 20) is None
    assert ranks_at("3 to 5", 20) == (3, 5)
    assert ranks_at("", 1) is None


def test_lists_of_many_names_are_cut():
    texts = [listed(list("abcdef")[:count]) for count in (1, 2, 4, 6)]
    assert texts == ["a", "a and b", "a, b, c and d", "a, b, c and 3 others"]


def test_the_command_adds_a_history_and_highlights_methods(tmp_path, in_process):
    for record in board():
        Store(tmp_path / "store").write(record)
    store, file = ("--store", tmp_path / "store"), ("--history", tmp_path / "history.parquet")
    assert in_process("history", "add", *store, *file, "--commit", "abc")[0] == 0
    page = ("leaderboard", *store, "--format", "html")
    code, text, _ = in_process(*page, *file, "--highlight", "good,fair")
    assert code == 0
    assert 'id="tab-history"' in text
    assert 'data-highlights=\'["faast", "good", "fair"]\'' in text
    code, _, err = in_process(*page, "--highlight", "goood")
    assert (code, err) == (2, "bench: no method 'goood' in the store; did you mean 'good'?\n")
    for more in (file, ("--highlight", "good"), ("--claims", "faast")):
        assert in_process("leaderboard", *store, *more)[0] == 2
