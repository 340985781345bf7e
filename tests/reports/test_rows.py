"""Rows of a leaderboard: seeds are pooled, versions are not, and nothing is hidden."""

import csv
import io
import json

import numpy as np
import pytest

from bench.reports.rows import against, rows
from bench.reports.tables import FORMATS, as_html, as_markdown, reasons, text_table
from bench.results.record import run_id
from bench.spec.budget import Budget, Match
from tests.helpers.records import COSTS, costing, made
from tests.helpers.tables import compact


def test_seeds_are_pooled_over_their_episodes():
    slow, slower = costing(9.0), costing(10.0)
    (row,) = rows(
        [
            made(),
            made({"seed": 1}, episode_scores=[70.0, 90.0], costs=slow),
            made({"seed": 2}, episode_scores=[10.0, 90.0], costs=slower),
        ]
    )
    assert (row.seeds, row.episodes, row.value) == (3, 6, 60.0)
    assert row.adapt_seconds == 9.0
    assert row.peak_memory_mb == 7.0
    assert row.config == "alpha=0.1"


def test_the_form_of_a_method_stands_in_its_name():
    marked = rows([made(notes={"form": "untrained: a fixed rule, not the published method"})])
    assert "m [alpha=0.1,untrained]" in as_markdown(marked)


@pytest.mark.parametrize(
    "change",
    [{"task": "u"}, {"backbone": "c"}, {"method": "n"}, {"config": {}}, {"shots": "full"}, {"queries": None},
     {"ways": 3}, {"precision": "64-true"}],
)  # fmt: skip
def test_what_is_not_the_same_run_is_a_row_of_its_own(change):
    assert len(rows([made(), made(change)])) == 2


def test_scores_of_an_older_version_are_not_pooled_with_the_present_ones():
    old = [made({"seed": seed}, code="old", value=99.0, episode_scores=[99.0, 99.0]) for seed in (0, 1)]
    new = made({"seed": 0}, code="new", finished="2026-02-01T00:00:00+00:00")
    for order in ([*old, new], [new, *old]):
        (row,) = rows(order)
        assert (row.seeds, row.value) == (1, 50.0)


def test_a_failure_of_an_older_version_is_over():
    failed = made(code="old", status="failed", reason="bug", value=None, episode_scores=[], costs=None)
    repaired = made(code="new", finished="2026-02-01T00:00:00+00:00")
    assert [row.status for row in rows([failed, repaired])] == ["ok"]
    # A failure of the present version stands beside the scores of other seeds.
    present = failed.model_copy(update={"identity": {**repaired.identity, "seed": 1}})
    assert [row.status for row in rows([repaired, present])] == ["ok", "failed"]


def test_the_best_comes_first_and_what_has_no_score_last():
    best = made({"method": "best"}, episode_scores=[90.0, 80.0])
    failed = made({"method": "a"}, status="failed", reason="no luck", value=None, episode_scores=[], costs=None)
    skipped = made({"method": "b"}, status="skipped", reason="no text", value=None, episode_scores=[], costs=None)
    few = made({"method": "z", "shots": 1})
    full = made({"method": "z", "shots": "full"}, episode_scores=[99.0, 99.0])
    ordered = rows([failed, made(), full, best, skipped, few])
    assert [(row.method, row.shots) for row in ordered] == [
        ("z", 1), ("best", 5), ("m", 5), ("a", 5), ("b", 5), ("z", "full"),
    ]  # fmt: skip
    assert reasons(ordered) == [
        "failed: t a: no luck",
        "skipped: t b: no text",
        "t at 5 shots: too few to tell; 2 more seeds would tell best [alpha=0.1] and m [alpha=0.1] apart",
    ]
    for name, text in ((name, make(ordered)) for name, make in FORMATS.items()):
        for row in ordered:
            assert row.method in text, name
        assert "no luck" in text, name
        assert "no text" in text, name


def test_text_that_means_something_to_a_format_stays_text():
    (row,) = rows([made({"config": {"mode": "a|b[red]c,d"}}, status="failed", reason='say "no"', episode_scores=[])])
    assert "a|b[red]c,d" in FORMATS["table"]([row])
    assert "a&#124;b[red]c,d" in FORMATS["markdown"]([row])
    assert '"mode=a|b[red]c,d"' in FORMATS["csv"]([row])
    assert json.loads(FORMATS["json"]([row]))[0]["reason"] == 'say "no"'


def scored(metric, value, **spec):
    return made(spec, metric=metric, value=value, ci_low=value - 0.2, ci_high=value + 0.3, episode_scores=[value])


def test_the_lowest_perplexity_and_the_highest_bleu_come_first():
    values = {"a": 30.0, "b": 10.0, "c": 20.0}
    lower = rows([scored("perplexity", value, method=method) for method, value in values.items()])
    assert [row.method for row in lower] == ["b", "c", "a"]
    higher = rows([scored("bleu", value, method=method) for method, value in values.items()])
    assert [row.method for row in higher] == ["a", "c", "b"]


def test_one_episode_keeps_the_interval_of_its_own_metric_and_several_have_students():
    (row,) = rows([scored("perplexity", 13.234)])
    assert (row.value, row.ci_low, row.ci_high) == (13.234, 13.034, 13.534)
    (row,) = rows([scored("perplexity", 12.0), scored("perplexity", 14.0, seed=1)])
    assert row.value == 13.0
    # t(0.975, 1 degree of freedom) times a standard error of 1, on the logarithmic scale; no perplexity is below 1.
    assert row.ci_low == pytest.approx(13 * np.exp(-12.7062 / 13))
    assert row.ci_high == pytest.approx(13 * np.exp(12.7062 / 13))


def test_a_score_has_its_unit():
    captions = {"accuracy": "accuracy in %", "perplexity": "perplexity per token (lower is better)", "bleu": "BLEU"}
    for metric, unit in captions.items():
        alone = rows([scored(metric, 13.234)])
        for name in ("table", "markdown"):
            text = FORMATS[name](alone)
            assert f"score: {unit}, [95% interval]." in text
            assert "metric" not in text
    assert "13.23 [13.03, 13.53]" in FORMATS["table"](alone)
    assert json.loads(FORMATS["json"](alone))[0]["metric"] == "bleu"


def test_several_metrics_have_a_column_that_rows_without_a_score_leave_open():
    failed = made({"method": "f"}, status="failed", reason="no luck", value=None, episode_scores=[], costs=None)
    perplexity, bleu = scored("perplexity", 13.2), scored("bleu", 25.2, task="u")
    # A run that failed says nothing of its metric.
    assert "metric" not in FORMATS["markdown"](rows([perplexity, failed]))
    lines = compact(FORMATS["markdown"](rows([perplexity, bleu, failed]))).splitlines()
    assert lines[0].startswith("| task | method | shots | metric | score |")
    sides = ["right" if cell.endswith(":") else "left" for cell in lines[1].strip("| ").split(" | ")]
    assert sides == ["left", "left", "right", "left", *["right"] * 8, "left", "left"]
    assert [line.split(" | ")[3] for line in lines[2:5]] == ["perplexity", "-", "bleu"]
    table = FORMATS["table"](rows([perplexity, bleu, failed]))
    assert "metric" in table
    assert "BLEU or perplexity per token" in table


def test_methods_without_a_significant_difference_share_a_tier():
    rng = np.random.default_rng(0)
    hard = rng.uniform(40, 90, 30)
    records = [
        made({"method": method}, episode_scores=list(hard - less + rng.normal(0, 1, 30)))
        for method, less in (("best", 0), ("as_good", 0), ("worse", 6), ("worst", 12))
    ]
    failed = made({"method": "f"}, status="failed", reason="bug", value=None, episode_scores=[], costs=None)
    found = {row.method: row.tier for row in rows([*records, failed])}
    assert found == {"best": 1, "as_good": 1, "worse": 2, "worst": 3, "f": None}
    text = compact(FORMATS["markdown"](rows(records)))
    assert "| score | tier | ranks |" in text
    assert "tier: all of one differ" in text


def test_a_lower_perplexity_is_the_better_tier():
    rng = np.random.default_rng(0)
    hard = rng.uniform(10, 20, 20)
    records = [
        made({"method": method}, metric="perplexity", episode_scores=list(hard + more))
        for method, more in (("a", 9), ("b", 0))
    ]
    assert [(row.method, row.tier) for row in rows(records)] == [("b", 1), ("a", 2)]


def test_tiers_are_of_rows_that_answer_the_same_question():
    alone = [made({"shots": 1}), made({"shots": 5}), made({"shots": 5, "ways": 3}), made({"task": "u"})]
    assert [row.tier for row in rows(alone)] == [None] * 4


def test_what_was_held_to_another_budget_is_a_row_of_its_own():
    held = made({"budget": Budget(adapt_seconds=2)})
    matched = made({"match": Match(method="faast", axes=("state_mb",))})
    found = rows([made(), held, matched])
    assert {row.budget for row in found} == {"", "adapt_seconds=2", "match faast:state_mb"}
    assert "| adapt_seconds=2 |" in compact(FORMATS["markdown"](found))
    assert "budget" not in FORMATS["markdown"](rows([made()]))


def test_what_is_over_budget_comes_last_with_limit_and_measurement():
    over = made(
        {"method": "a"}, status="over_budget", reason="steps is 4, 3 allowed", value=None, episode_scores=[],
        limits={"steps": 3}, violations={"steps": 4},
    )  # fmt: skip
    found = rows([over, made()])
    assert [row.status for row in found] == ["ok", "over_budget"]
    assert found[1].adapt_seconds == COSTS.adapt.seconds
    assert "- over_budget: t a: steps is 4, 3 allowed" in FORMATS["markdown"](found)


def test_fronts_hold_what_nothing_beats():
    def method(name, score, seconds, memory):
        return made({"method": name}, episode_scores=[score], costs=costing(seconds, memory))

    found = {
        row.method: row.pareto
        for row in rows(
            [
                method("quick", 60.0, 1.0, 50.0),
                method("good", 90.0, 10.0, 500.0),
                method("beaten", 60.0, 2.0, 60.0),
                method("small", 50.0, 20.0, 5.0),
                method("twin", 60.0, 1.0, 50.0),
                made({"method": "elsewhere", "task": "u"}, episode_scores=[1.0], costs=costing(99.0, 999.0)),
                made({"method": "failed"}, status="failed", value=None, episode_scores=[], costs=costing(0.1, 0.1)),
            ]
        )
    }
    assert found == {
        "quick": "time+memory", "twin": "time+memory", "good": "time+memory", "small": "memory", "beaten": "",
        "elsewhere": "time+memory", "failed": "",
    }  # fmt: skip


def test_rows_of_other_ways_are_no_rivals_on_a_front_and_have_a_column():
    few = made({"method": "easy", "ways": 3}, episode_scores=[90.0], costs=costing(1.0))
    alone = [
        made({"method": "quick"}, episode_scores=[60.0], costs=costing(2.0)),
        made({"method": "good"}, episode_scores=[70.0], costs=costing(3.0)),
    ]
    found = {row.method: row.pareto for row in rows([few, *alone])}
    assert found == {"easy": "time+memory", "quick": "time", "good": "time+memory"}
    assert {row.method: row.break_even_queries for row in against(rows([few, *alone]), "easy")} == dict.fromkeys(found)
    text = compact(FORMATS["markdown"](rows([few, *alone])))
    assert text.startswith("| task | method | shots | ways |")
    assert "| t | easy [alpha=0.1] | 5 | 3 |" in text
    assert "| t | good [alpha=0.1] | 5 | all |" in text
    assert "ways" not in FORMATS["markdown"](rows(alone)).splitlines()[0]
    assert [row["ways"] for row in json.loads(FORMATS["json"](rows([few, *alone])))] == [3, None, None]


def of_several_queries():
    """A task whose rows have one name but for their queries, and one whose rows have other names."""
    same = [made({"queries": queries}, costs=costing(float(queries or 9))) for queries in (1, 20, None)]
    return [*same, made({"method": "other", "queries": 20}),
            made({"task": "u"}), made({"task": "u", "method": "other", "queries": 20})]  # fmt: skip


def test_rows_that_differ_in_their_queries_alone_name_them_in_every_form():
    found = rows(of_several_queries())
    names = ["t, all queries", "t, 1 query", "t, 20 queries", "t, 20 queries", "u", "u"]
    columns, cells = text_table(found)
    assert sorted(row[columns.index("task")] for row in cells) == sorted(names)
    for text in (FORMATS["table"](found), FORMATS["markdown"](found), as_html(found)):
        assert all(name in text for name in names)
        assert "u, " not in text
        assert "queries: those of each class" in " ".join(text.split())
    # Fields for programs have the number by itself.
    for read in (json.loads(FORMATS["json"](found)), list(csv.DictReader(io.StringIO(FORMATS["csv"](found))))):
        assert {row["task"] for row in read} == {"t", "u"}
        assert {str(row["queries"] or "all") for row in read} == {"1", "3", "20", "all"}


def test_rows_with_names_of_their_own_do_not_name_their_queries():
    found = rows([made({"queries": 20}), made({"method": "other"}), made({"shots": 1})])
    assert {cells[0] for cells in text_table(found)[1]} == {"t"}
    assert "queries: those of each class" not in FORMATS["markdown"](found)


def test_rows_of_other_queries_are_no_rivals_on_a_front():
    found = rows(of_several_queries()[:3])
    assert [row.pareto for row in found] == ["time+memory"] * 3


def test_rows_of_several_precisions_name_them():
    text = FORMATS["markdown"](rows([made(), made({"precision": "bf16-true"})]))
    assert "precision" in text.splitlines()[0]
    assert "bf16-true" in text
    assert "precision" not in FORMATS["markdown"](rows([made()]))


def test_a_front_of_perplexities_is_below():
    low = made({"method": "low"}, metric="perplexity", value=5.0, episode_scores=[5.0], costs=costing(1.0))
    high = made({"method": "high"}, metric="perplexity", value=9.0, episode_scores=[9.0], costs=costing(2.0))
    assert {row.method: row.pareto for row in rows([low, high])} == {"low": "time+memory", "high": ""}


def test_break_even_is_counted_in_queries():
    # 9 s more at first, 0.1 s less for each of its three queries.
    slow = made({"method": "slow"}, costs=costing(10.0, query_seconds=0.3))
    fast = made({"method": "fast"}, costs=costing(1.0, query_seconds=0.6))
    found = {row.method: row.break_even_queries for row in against(rows([slow, fast]), "fast")}
    assert found["slow"] == pytest.approx(90)
    assert found["fast"] is None
    text = FORMATS["markdown"](against(rows([slow, fast]), "fast"))
    assert "break-even" in text.splitlines()[0]


def test_seeds_are_the_units_of_methods_that_share_random_numbers_between_episodes():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 3, (4, 10))

    def width(given):
        (row,) = rows(given)
        return row.ci_high - row.ci_low

    def records(luck, shared):
        return [
            made({"seed": seed}, episode_scores=list(60 + noise[seed] + luck * seed), shared_draws=shared)
            for seed in range(4)
        ]

    # Without shared random numbers seeds are no units of their own, whatever they happen to score.
    assert width(records(0, False)) == pytest.approx(2 * 2.02 * noise.std(ddof=1) / 40**0.5, rel=0.1)
    assert width(records(5, True)) > 3 * width(records(0, True))
    assert width(records(5, None)) == width(records(5, True))


def always(scores, method="zero_shot", **changes):
    """A method without a support set."""
    return made({"method": method, "shots": 0}, episode_scores=list(scores), **changes)


def test_a_method_without_a_support_set_is_a_rival_at_every_number_of_shots():
    rng = np.random.default_rng(0)
    hard = rng.uniform(60, 80, 30)

    def noisy(more):
        return list(hard + more + rng.normal(0, 1, 30))

    records = [
        always(noisy(0), costs=costing(0.0)),
        made({"method": "learner", "shots": 1}, episode_scores=noisy(-5), costs=costing(1.0)),
        made({"method": "learner", "shots": 20}, episode_scores=noisy(8), costs=costing(1.0)),
        made({"method": "twin", "shots": 20}, episode_scores=noisy(8), costs=costing(2.0, 9.0)),
    ]
    found = {(row.method, row.shots): row for row in rows(records)}
    assert [(row.tiers, row.ranks) for row in found.values()] == [
        ("1 at 1, 2 at 20", "1 at 1, 3 at 20"), ("2", "2"), ("1", "1 to 2"), ("1", "1 to 2")
    ]  # fmt: skip
    assert found["zero_shot", 0].tier is None
    assert found["learner", 1].tier == 2
    # Below what costs nothing, nothing is on a front.
    assert found["learner", 1].pareto == ""
    assert found["learner", 20].pareto != ""
    assert "time" in found["zero_shot", 0].pareto
    text = compact(FORMATS["markdown"](list(found.values())))
    assert "| 1 at 1, 2 at 20 | 1 at 1, 3 at 20 |" in text
    assert "a method at 0 shots counts at every number of shots" in text


def test_methods_without_a_support_set_are_on_no_board_of_other_episodes():
    others = [made({"method": "a", "shots": 5, "queries": 9}), always([50.0, 60.0])]
    assert [(row.tiers, row.ranks) for row in rows(others)] == [("", "")] * 2


def test_a_board_with_too_few_items_says_so_and_how_many_more_would_tell():
    records = [
        made({"method": method, "config": {}, "seed": seed}, episode_scores=[60.0 + seed + more], shared_draws=False)
        for seed in range(3)
        for method, more in (("a", 9 + seed / 10), ("b", 0))
    ]
    found = rows(records)
    assert [(row.tier, row.tiers, row.ranks) for row in found] == [(None, "too few", "1 to 2")] * 2
    assert found[0].too_few == "too few to tell; 3 more seeds would tell a and b apart"
    for name in ("table", "markdown"):
        assert "t at 5 shots: too few to tell; 3 more seeds would tell a and b apart" in FORMATS[name](found)
    assert json.loads(FORMATS["json"](found))[0]["too_few"] == found[0].too_few


def test_one_episode_without_predictions_has_no_interval_and_tells_nothing():
    found = rows([made({"method": method}, episode_scores=[score]) for method, score in (("a", 60.0), ("b", 90.0))])
    assert [(row.ci_low, row.tiers, row.too_few) for row in found] == [(None, "too few", "too few to tell")] * 2
    assert "90.0 (too few items)" in FORMATS["markdown"](found)


def test_the_backbone_is_a_column_where_a_task_has_several():
    first, other, alone = made(), made({"backbone": "c"}), made({"task": "u", "backbone": "c"})
    assert "| backbone |" not in compact(as_markdown(rows([first, alone])))
    lines = compact(as_markdown(rows([first, other]))).splitlines()
    assert lines[0].startswith("| task | backbone | method |")
    assert [line.split(" | ")[1] for line in lines if line.startswith("| t |")] == ["b", "c"]


def test_data_sets_of_one_task_have_tables_and_fronts_of_their_own():
    """Two folders of a user's, read by the same code of the task."""

    def of_data(data, method, score, seconds, code="1"):
        fields = {"episode_scores": [score, score], "value": score, "costs": costing(seconds)}
        one = made({"method": method}, **fields)
        identity = {**one.identity, "data": data, "code": {"task": code}}
        return one.model_copy(update={"identity": identity, "id": run_id(identity)})

    one = [of_data("a" * 64, "slow", 90.0, 9.0), of_data("a" * 64, "fast", 80.0, 1.0)]
    other = [of_data("owner/name@bbbbbbbbbb", "slow", 99.0, 0.5)]
    earlier = of_data("c" * 64, "fast", 99.0, 0.1, code="0")
    assert [(row.task, row.method, bool(row.pareto), row.others) for row in rows([*one, *other, earlier])] == [
        ("t [data=aaaaaaaa]", "slow", True, 0),
        ("t [data=aaaaaaaa]", "fast", True, 1),
        ("t [data=bbbbbbbb]", "slow", True, 0),
    ]
    assert {row.task for row in rows(one)} == {"t"}


def test_json_is_laid_out_as_the_library_lays_it_out():
    hostile = {"task": 'a "runs": null', "method": '\\"runs": null, \u00e9'}
    found = rows([made(), made({"seed": 1}), made(hostile, value=1e-7, episode_scores=[1e-7, 1e-7])])
    found.append(found[0].model_copy(update={"runs": ()}))
    for some in (found, found[:1], []):
        assert FORMATS["json"](some) == json.dumps([row.model_dump() for row in some], indent=1) + "\n"
