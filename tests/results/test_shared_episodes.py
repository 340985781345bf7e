"""Which episodes and queries two methods share, and by which test they are compared on them."""

import numpy as np
import pytest

from bench.results.predictions import QueryPredictions
from bench.results.scores import row_score
from bench.results.shared_episodes import compare_all, paired
from tests.helpers.records import made


class Kept:
    """Records with outcomes in memory."""

    def __init__(self):
        self.outcomes = {}

    def __call__(self, record):
        return self.outcomes.get(record.id)

    def answered(self, method, right, queries=None, queries_per_class=3, **spec):
        """A record whose episodes' right answers are ``right [episode, query]``."""
        right = np.asarray(right, dtype=float)
        queries = np.arange(right.shape[1]) if queries is None else np.asarray(queries)
        found = QueryPredictions.of("accuracy", [queries] * len(right), list(right[..., None]))
        record = made(
            {"method": method, "queries": queries_per_class, **spec},
            episode_scores=found.episode_scores(),
            n_queries=right.size,
        )
        self.outcomes[record.id] = found
        return record


@pytest.fixture
def kept():
    return Kept()


RNG = np.random.default_rng(0)
SCORES = RNG.uniform(50, 90, 8)


def test_episodes_of_all_seeds_are_paired_by_seed_and_number(kept):
    a = [made({"method": "a", "seed": seed}, episode_scores=list(SCORES[4 * seed :][:4])) for seed in (0, 1)]
    b = [made({"method": "b", "seed": seed}, episode_scores=list(SCORES[4 * seed :][:4] - 2)) for seed in (1, 0)]
    found = paired(a, b, kept)
    assert (found.test, found.unit, found.n_units) == ("Student's t over seeds", "episodes", 8)
    assert found.difference == pytest.approx(2)
    assert (found.interval.low, found.interval.high) == (pytest.approx(2), pytest.approx(2))
    assert found.effect == 1


def test_only_what_both_have_is_compared(kept):
    a = [made({"method": "a", "seed": seed}, episode_scores=list(SCORES)) for seed in (0, 1)]
    b = [made({"method": "b", "seed": seed}, episode_scores=list(SCORES[:7])) for seed in (1, 2)]
    found = paired(a, b, kept)
    assert found.n_units == 7
    assert found.difference == 0


@pytest.mark.parametrize("change", [{"seed": 5}, {"task": "u"}, {"queries": 9}, {"ways": 3}])
def test_episodes_of_another_draw_are_not_shared(kept, change):
    a, b = (
        made({"method": "a"}, episode_scores=list(SCORES)),
        made({"method": "b"} | change, episode_scores=list(SCORES)),
    )
    assert paired([a], [b], kept) is None


def test_episodes_of_another_revision_of_the_data_are_not_shared(kept):
    a, b = (made({"method": name}, episode_scores=list(SCORES)) for name in "ab")
    assert paired([a], [b.model_copy(update={"identity": {**b.identity, "data": "2"}})], kept) is None


def test_another_metric_is_not_comparable(kept):
    a, b = made(episode_scores=list(SCORES)), made({"method": "b"}, metric="bleu", episode_scores=list(SCORES))
    assert paired([a], [b], kept) is None


def test_one_episode_is_compared_by_its_queries(kept):
    right = RNG.random(400) < 0.7
    worse = np.where(np.arange(400) < 40, 0, right)
    a, b = kept.answered("a", [right]), kept.answered("b", [worse])
    found = paired([a], [b], kept)
    assert (found.test, found.unit, found.n_units) == ("McNemar", "queries", 400)
    assert found.difference == pytest.approx(100 * (right.mean() - worse.mean()))
    assert found.is_significant(found.p_value)


def test_queries_are_paired_by_task_and_protocol(kept):
    a = kept.answered("a", [[1, 1, 0, 0]], queries=[5, 6, 7, 8])
    b = kept.answered("b", [[0, 0, 1, 1]], queries=[8, 7, 6, 5])
    assert paired([a], [b], kept).difference == 0


def test_a_query_of_several_episodes_counts_once(kept):
    right = RNG.random((3, 100)) < 0.7
    a, b = kept.answered("a", right), kept.answered("b", right * (np.arange(100) > 20))
    found = paired([a], [b], kept)
    assert (found.test, found.unit, found.n_units) == ("Student's t", "queries", 100)
    assert (found.a, found.b) == (
        pytest.approx(a.episode_scores and np.mean(a.episode_scores)),
        pytest.approx(np.mean(b.episode_scores)),
    )


def test_few_episodes_without_outcomes_are_compared_as_they_are_and_one_is_not(kept):
    a, b = (made({"method": name}, episode_scores=[60.0, 70.0]) for name in "ab")
    assert paired([a], [b], kept).unit == "episodes"
    a, b = (made({"method": name}, episode_scores=[60.0]) for name in "ab")
    assert paired([a], [b], kept) is None


def test_perplexity_of_one_episode_is_compared_by_the_jackknife(kept):
    tokens = RNG.integers(50, 99, 60)
    records = []
    for method, loss in (("a", 3.0), ("b", 3.2)):
        items = np.column_stack([tokens * RNG.normal(loss, 0.05, 60), tokens])
        found = QueryPredictions.of("perplexity", [np.arange(60)], [items])
        records.append(made({"method": method}, metric="perplexity", episode_scores=found.episode_scores()))
        kept.outcomes[records[-1].id] = found
    found = paired([records[0]], [records[1]], kept)
    assert (found.test, found.unit) == ("jackknife t", "queries")
    assert found.a == pytest.approx(records[0].episode_scores[0])
    assert found.is_significant(found.p_value)
    assert found.difference < 0


def test_groups_differ_where_the_adjusted_test_says_so(kept):
    many = RNG.uniform(50, 90, 30)
    groups = {
        name: [made({"method": name}, episode_scores=list(many - less + RNG.normal(0, 1, 30)))]
        for name, less in (("a", 0), ("b", 0), ("c", 5))
    }
    assert compare_all(groups, kept).apart == {frozenset("ac"), frozenset("bc")}
    assert compare_all({"a": groups["a"]}, kept).apart == set()


def test_what_is_worse_where_both_were_run_is_not_set_apart_as_the_better_one(kept):
    """b has the better score of its own, by a seed that a was not run on."""
    scores = RNG.uniform(50, 60, 20)
    a = [made({"method": "a"}, episode_scores=list(scores + 5), shared_draws=False)]
    b = [made({"method": "b"}, episode_scores=list(scores), shared_draws=False)]
    easy = made({"method": "b", "seed": 1}, episode_scores=list(scores + 30), shared_draws=False)
    assert paired(a, [*b, easy], kept).difference == pytest.approx(5)
    assert row_score(a).value < row_score([*b, easy]).value
    assert compare_all({"a": a, "b": b}, kept).apart == {frozenset("ab")}
    assert compare_all({"a": a, "b": [*b, easy]}, kept).apart == set()


def test_passes_over_one_test_set_are_no_independent_episodes(kept):
    right = RNG.random(50) < 0.7
    slightly = right.copy()
    slightly[np.flatnonzero(right)[:1]] = False
    a, b = (
        [kept.answered(method, [given], queries_per_class=None, seed=seed, shots="full") for seed in range(8)]
        for method, given in (("a", right), ("b", slightly))
    )
    found = paired(a, b, kept)
    # Two points more in each of eight passes, but by the answer to a single query.
    assert (found.unit, found.n_units, found.difference) == ("queries", 50, pytest.approx(2))
    assert found.p_value == 1
    assert not found.is_significant(found.p_value)


def test_the_interval_of_several_passes_is_no_narrower_than_that_of_their_queries():
    passes = [
        made({"seed": seed, "queries": None, "shots": "full"}, episode_scores=[70.0], ci_low=60.0, ci_high=78.0)
        for seed in range(8)
    ]
    found = row_score(passes).interval
    assert (found.low, found.high) == (60.0, 78.0)
