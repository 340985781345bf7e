"""Draws of episodes: properties that hold for every task, and what a seed does and does not change."""

from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from bench.contracts import InputMode, Pool, TaskData, UsageError
from bench.data.episodes import PADDING, EpisodeSpec, draw_episodes
from bench.registry import find, method_class
from bench.spec.run_spec import RunSpec
from bench.toolkit.seeds import name_seed
from tests.helpers.runs import outside_runner


def pool(sizes, rng):
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return Pool(Dataset.from_dict({"input": [str(i) for i in range(len(labels))]}), labels)


def task_data(support, query, seed=0):
    """Pools with the given numbers of items of each class, in random order."""
    rng = np.random.default_rng(seed)
    return TaskData(pool(support, rng), pool(query, rng), tuple(f"c{i}" for i in range(len(support))), "1")


def draw(**changes):
    base = EpisodeSpec(task="t", seed=0, episodes=3, shots=2, queries=3, ways=None)
    return replace(base, **changes)


@st.composite
def problems(draw_from):
    n_classes = draw_from(st.integers(2, 6))
    sizes = st.lists(st.integers(1, 9), min_size=n_classes, max_size=n_classes)
    support, query = draw_from(sizes), draw_from(sizes)
    data = task_data(support, query, seed=draw_from(st.integers(0, 3)))
    requested = EpisodeSpec(
        task=draw_from(st.sampled_from(["digits", "lexicon"])),
        seed=draw_from(st.integers(0, 2**31)),
        episodes=draw_from(st.integers(1, 4)),
        shots=draw_from(st.none() | st.integers(0, min(support))),
        queries=draw_from(st.none() | st.integers(1, min(query))),
        ways=draw_from(st.none() | st.integers(2, n_classes)),
    )
    return data, requested


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(problems())
def test_every_draw_is_balanced_and_honest(problem):
    data, requested = problem
    episodes = draw_episodes(data, requested)
    ways = requested.ways or len(data.classes)
    assert len(episodes) == requested.episodes
    assert episodes.classes.shape == (requested.episodes, ways)
    for split, pool, number in (("support", data.support, requested.shots), ("query", data.query, requested.queries)):
        positions, labels = getattr(episodes, split), getattr(episodes, f"{split}_labels")
        assert positions.shape == labels.shape
        for classes, row, row_labels in zip(episodes.classes, positions, labels, strict=True):
            assert len(set(classes)) == ways
            real = row[row != PADDING]
            np.testing.assert_array_equal(row == PADDING, row_labels == PADDING)
            assert len(set(real)) == len(real)  # never the same item twice
            assert all(0 <= position < len(pool.labels) for position in real)
            # What the episode calls class k is the task's class classes[k].
            np.testing.assert_array_equal(classes[row_labels[row != PADDING]], pool.labels[real])
            counts = np.bincount(row_labels[row != PADDING], minlength=ways)
            wanted = [int((pool.labels == label).sum()) if number is None else number for label in classes]
            assert list(counts) == wanted


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(problems(), st.data())
def test_fewer_shots_are_the_beginning_of_more_against_the_same_queries(problem, data):
    loaded, requested = problem
    most = int(np.bincount(loaded.support.labels).min())
    few = data.draw(st.integers(0, most))
    small, large = (draw_episodes(loaded, replace(requested, shots=n)) for n in (few, most))
    np.testing.assert_array_equal(small.classes, large.classes)
    np.testing.assert_array_equal(small.query, large.query)
    np.testing.assert_array_equal(small.query_labels, large.query_labels)
    for episode in range(len(small)):
        for label in range(small.classes.shape[1]):
            first = small.support[episode][small.support_labels[episode] == label]
            longer = large.support[episode][large.support_labels[episode] == label]
            np.testing.assert_array_equal(first, longer[:few])


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(problems())
def test_an_episode_depends_on_its_own_number_only(problem):
    data, requested = problem
    together = draw_episodes(data, replace(requested, episodes=4))
    alone = draw_episodes(data, replace(requested, episodes=1))
    np.testing.assert_array_equal(together.classes[0], alone.classes[0])
    for split in ("support", "query"):
        row, wide = getattr(alone, split)[0], getattr(together, split)[0]
        np.testing.assert_array_equal(row, wide[: len(row)])
        assert (wide[len(row) :] == PADDING).all()


def test_seed_task_and_number_of_episode_each_move_the_draw():
    data = task_data([20] * 4, [20] * 4)
    base = draw_episodes(data, draw())
    np.testing.assert_array_equal(base.support, draw_episodes(data, draw()).support)
    assert not np.array_equal(base.support[0], base.support[1])
    for changed in ({"seed": 1}, {"task": "u"}):
        other = draw_episodes(data, draw(**changed))
        assert not np.array_equal(base.support, other.support)
        assert not np.array_equal(base.query, other.query)


def test_the_draw_is_the_same_on_every_machine():
    # Records name their episodes by seed alone: these numbers must never change.
    assert name_seed("digits", 10, 0, 0) == 1043040082485387381
    found = draw_episodes(task_data([5] * 3, [5] * 3), draw(episodes=1, shots=1, queries=1))
    assert found.support.tolist() == [[2, 10, 3]]
    assert found.query.tolist() == [[7, 11, 1]]


def test_the_order_of_queries_gives_no_class_away():
    episodes = draw_episodes(task_data([5] * 4, [10] * 4), draw(episodes=400, shots=1, queries=5))
    labels = episodes.query_labels
    # A class is as likely at each place, and as likely to be followed by itself, as in any shuffled order.
    counts = np.stack([(labels == label).sum(axis=0) for label in range(4)])
    assert chisquare(counts.ravel()).pvalue > 0.001
    assert (labels[:, 1:] == labels[:, :-1]).mean() == pytest.approx(4 / 19, abs=0.02)
    # The order is drawn anew for each episode, and once for all methods and numbers of shots.
    assert len(set(map(tuple, labels.tolist()))) > 390
    again = draw_episodes(task_data([5] * 4, [10] * 4), draw(episodes=400, shots=5, queries=5))
    np.testing.assert_array_equal(again.query, episodes.query)


def test_ways_are_subsets_that_differ_between_episodes():
    episodes = draw_episodes(task_data([5] * 10, [5] * 10), draw(ways=4, episodes=50))
    assert all(len(set(row)) == 4 for row in episodes.classes)
    assert set(episodes.classes.ravel()) == set(range(10))  # none is left out for ever


def test_all_of_unbalanced_pools_is_padded():
    data = task_data([1, 4, 2], [2, 2, 3])
    full = draw_episodes(data, draw(shots=None, queries=None, ways=2, episodes=20))
    sizes = (full.support != PADDING).sum(axis=1)
    assert {3, 5, 6} == set(sizes)
    assert full.support.shape[1] == 6
    everything = draw_episodes(data, draw(shots=None, queries=None, episodes=1))
    assert sorted(everything.support[0]) == list(range(7))
    assert sorted(everything.query[0]) == list(range(7))


def test_no_shots_draw_an_empty_support_and_need_no_examples():
    data = task_data([0, 2], [3, 3])
    episodes = draw_episodes(data, draw(shots=0))
    assert episodes.support.shape == (3, 0)
    assert episodes.query.shape == (3, 6)


@pytest.mark.parametrize(
    ("support", "query", "changes", "message"),
    [
        ([2, 0, 2], [3, 3, 3], {}, "t: class 'c1' has no support items; every class needs one"),
        ([2, 2, 2], [3, 3, 0], {"queries": None}, "t: class 'c2' has no query items"),
        ([2, 0, 2], [3, 3, 3], {"shots": None}, "t: class 'c1' has no support items"),
        ([2, 2, 1], [3, 3, 3], {}, "class 'c2' has 1 support items, 2 required; use --shots 1 or fewer"),
        ([2, 2, 2], [3, 2, 3], {}, "class 'c1' has 2 query items, 3 required; use --queries 2 or fewer"),
        ([2, 2, 2], [3, 3, 3], {"ways": 4}, "t has 3 classes; --ways must lie in 2..3, got 4"),
        ([2, 2, 2], [3, 3, 3], {"ways": 1}, "--ways must lie in 2..3, got 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(support, query, changes, message):
    with pytest.raises(UsageError, match=message):
        draw_episodes(task_data(support, query), draw(**changes))


READERS = [name for name in find("methods") if method_class(name).reads is InputMode.FEATURES]


@pytest.fixture(scope="module")
def unsupported(outside_site, tmp_path_factory):
    """Records of the methods on features without any support items, by method."""
    specs = [
        RunSpec(task="stripes", backbone="pixels", method=name, shots=0, seed=0, episodes=2, queries=5, ways=None)
        for name in READERS
    ]
    with outside_runner(outside_site, tmp_path_factory.mktemp("unsupported")) as runner:
        return {record.spec.method: record for record in runner.run(specs).records}


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_an_empty_support_set_is_answered_or_refused_clearly(unsupported, name):
    record = unsupported[name]
    if record.status == "ok":
        assert 0 <= record.value <= 100
        assert record.n_queries == 2 * 4 * 5
    else:  # a sentence for the user, not what some library happened to raise
        assert record.status == "failed"
        assert "traceback" not in record.provenance, record.reason


@pytest.mark.slow
def test_where_nothing_was_observed_the_prior_answers_alone(unsupported):
    expected = unsupported["zero_shot"].episode_scores
    assert len(expected) == 2
    assert [unsupported[name].episode_scores for name in ("faast", "ape")] == [expected] * 2
