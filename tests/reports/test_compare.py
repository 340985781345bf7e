"""Which rows of a store two names mean, and what is found between them."""

import numpy as np
import pytest

from bench.contracts import UsageError
from bench.reports.compare import differences
from bench.reports.compare_tables import difference_table
from bench.spec.tuning import Tuning
from tests.helpers.records import made, run
from tests.helpers.tables import compact


def nothing(record):
    return None


def test_differences_are_of_each_task_and_number_of_shots():
    records = [
        run("a", shots=5), run("b", 3, shots=5), run("a", shots=1), run("b", 0, 1, shots=1),
        run("a", task="u"), run("b", -3, task="u"), run("c"),
    ]  # fmt: skip
    found = differences(records, "a", "b", nothing)
    assert [(one.task, one.shots, one.verdict) for one in found] == [("t", 1, "none"), ("t", 5, "a"), ("u", 5, "b")]
    assert found[1].paired.difference == pytest.approx(3, abs=0.5)
    # Adjusted for the three of them, and for no more.
    assert found[1].adjusted_p == pytest.approx(3 * found[1].paired.p_value)
    (only,) = differences(records, "a", "b", nothing, shots=[5], tasks=["t"])
    assert only.adjusted_p == only.paired.p_value
    mirrored = differences(records, "b", "a", nothing)
    assert [one.verdict for one in mirrored] == ["none", "b", "a"]


def test_a_method_without_a_support_set_is_compared_at_all_shots():
    records = [run("zero", 5, shots=0), run("a", shots=1), run("a", shots="full", noise=1)]
    assert [one.shots for one in differences(records, "a", "zero", nothing)] == [1, "full"]
    assert [one.shots for one in differences(records, "zero", "a", nothing, shots=["full"])] == ["full"]


def test_the_lower_perplexity_is_the_better():
    records = [
        run("a").model_copy(update={"metric": "perplexity"}),
        run("b", 3).model_copy(update={"metric": "perplexity"}),
    ]
    assert [one.verdict for one in differences(records, "a", "b", nothing)] == ["b"]


def test_settings_tell_rows_of_a_method_apart():
    records = [run("a"), run("a", 2, config={"alpha": 0.5}), run("b", 4)]
    for name, gap in (("a", 4), ("a [alpha=0.5]", 2)):
        (found,) = differences(records, name, "b", nothing)
        assert found.paired.difference == pytest.approx(gap, abs=0.5)
    with pytest.raises(
        UsageError, match=r"t has several rows to compare; name two of them: 'a \[x=1\]', 'a \[x=2\]', 'b'"
    ):
        differences([run("a", config={"x": 1}), run("a", config={"x": 2}), run("b")], "a", "b", nothing)


def test_a_site_is_named_where_tables_leave_it_out():
    inside = [run("faast", shots=5, config={"site": "hidden_states"}), run("faast", 3, shots=5)]
    perplexity = [run(name, task="u").model_copy(update={"metric": "perplexity"}) for name in ("faast", "knn_lm")]
    for name in ("faast_lm", "faast@hidden_states"):
        assert [one.task for one in differences(perplexity, name, "knn_lm", nothing)] == ["u"]
        assert [one.task for one in differences(inside, name, "faast", nothing)] == ["t"]
    assert [one.task for one in differences(inside, "faast@features", "faast@hidden_states", nothing)] == ["t"]


@pytest.mark.parametrize(
    ("a", "b", "tasks", "message"),
    [
        ("a", "bb", [], "no method 'bb' with scores in the store; did you mean 'b'?"),
        ("a", "b", ["x"], "no task 'x' in the store; known: t, u"),
        ("a", "b", ["t"], "a and b have no episodes in common there; run both on the same task with the same --seeds"),
        ("a", "c", [], "a and c have no episodes in common; run both"),
    ],
)
def test_what_cannot_be_compared_is_said(a, b, tasks, message):
    records = [run("a", task="t"), run("a", task="u"), run("b", task="u"), run("c", seed=7, task="u")]
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        differences(records, a, b, nothing, tasks)


def test_tuned_configs_are_compared_where_there_are_some():
    tuning = Tuning(trials=3, seconds=1.0, sampler="tpe", objective="score", validation="splits", score=50.0, study="s")
    records = [run("a"), run("b", 4), run("a", -2, shots=1, config={"x": 0.1}, tuning=tuning), run("b", 2, shots=1)]
    records += [run("a", 1, config={"x": 1 / 3}, tuning=tuning)]
    found = differences(records, "a", "b", nothing, tuned=True)
    assert [one.shots for one in found] == [1, 5]
    assert [one.paired.difference for one in found] == [pytest.approx(4, abs=0.5), pytest.approx(3, abs=0.5)]
    # What was tuned and has no score is not compared untuned instead.
    over = run("a", shots=20, config={"x": 1.0}, tuning=tuning).model_copy(update={"status": "over_budget"})
    records += [run("a", shots=20), over, run("b", shots=20)]
    assert [one.shots for one in differences(records, "a", "b", nothing, tuned=True)] == [1, 5]
    with pytest.raises(UsageError, match="--tuned needs runs that were tuned, got none"):
        differences([run("a"), run("b")], "a", "b", nothing, tuned=True)


def test_what_would_tell_two_methods_apart_is_said():
    few = [
        made({"method": method, "config": {}}, episode_scores=list(scores))
        for method, scores in (("a", [70.0, 74.0, 81.0]), ("b", [66.0, 69.0, 75.0]))
    ]
    (found,) = differences(few, "a", "b", nothing)
    assert (found.verdict, found.more) == ("too few", "1 more seed")  # of three episodes: six in all
    assert "| too few to tell | 1 more seed |" in compact(difference_table([found], "a", "b").as_markdown())
    (found,) = differences([run("a"), run("b", 0.2, 1)], "a", "b", nothing)
    assert found.verdict == "none"
    assert found.more.endswith(" more seeds") or found.more == "1 more seed"
    (found,) = differences([run("a"), run("b", 3)], "a", "b", nothing)
    assert (found.verdict, found.more) == ("a", "")


def test_methods_that_share_random_numbers_are_compared_by_seeds():
    rng = np.random.default_rng(0)

    def seeds(method, more, shared, n_seeds=3):
        return [
            made(
                {"method": method, "config": {}, "seed": seed},
                episode_scores=list(60 + luck + more),
                shared_draws=shared,
            )
            for seed, luck in enumerate(rng.normal(0, 3, (n_seeds, 20)))
        ]

    plain, other, shared = seeds("plain", 0, False), seeds("other", 4, False), seeds("shared", 4, True)
    (found,) = differences([*plain, *other], "other", "plain", nothing)
    assert (found.paired.test, found.paired.n_independent) == ("Student's t", 60)
    (found,) = differences([*plain, *shared], "shared", "plain", nothing)
    assert (found.paired.test, found.paired.n_independent) == ("Student's t over seeds", 3)
    assert not found.paired.has_too_few()
