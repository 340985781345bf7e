"""What a trial is scored on: support items alone, each held out from what answers it."""

import dataclasses

import numpy as np
import pytest
from datasets import Dataset

from bench.contracts import Pool, UsageError
from bench.data.episodes import PADDING, Episodes, EpisodeSpec, draw_episodes
from methods._faast_features import FaastOnFeaturesConfig
from methods.knn import KnnConfig
from sweeps.attempt import REASON
from sweeps.trials import Trials
from sweeps.validation import SupportData, cross_validation, repeated_splits, support_sets


def data(per_class=(12, 12, 12)):
    labels = np.repeat(np.arange(len(per_class)), per_class)
    names = tuple(map(str, range(len(per_class))))
    return SupportData(Pool(Dataset.from_dict({"input": list(range(len(labels)))}), labels), names, "1")


def draw(shots, **changes):
    return EpisodeSpec(**{"task": "t", "seed": 0, "episodes": 4, "shots": shots, "queries": 5, "ways": None, **changes})


def items(episodes, row):
    """Support and query items of an episode, with their labels."""
    pairs = []
    for split in ("support", "query"):
        positions, labels = getattr(episodes, split)[row], getattr(episodes, f"{split}_labels")[row]
        pairs.append({(int(a), int(b)) for a, b in zip(positions, labels, strict=True) if a != PADDING})
    return pairs


def test_a_sweep_has_no_way_to_queries():
    assert {field.name for field in dataclasses.fields(SupportData)} == {"pool", "classes", "revision"}
    task = data().as_task()
    assert task.query is task.support


@pytest.mark.slow
def test_other_query_labels_change_nothing(sweep, monkeypatch):
    from bench_outside.stripes import Stripes

    def values():
        made = sweep(method="knn", objectives=["score", "likelihood"])
        return [made.trials.values(KnnConfig(k=k)) for k in (1, 3)]

    before, load = values(), Stripes.load

    def spoilt(self, folder):
        whole = load(self, folder)
        query = dataclasses.replace(whole.query, labels=whole.query.labels[::-1].copy())
        return dataclasses.replace(whole, query=query)

    monkeypatch.setattr(Stripes, "load", spoilt)
    assert values() == before


def test_support_sets_are_those_of_the_run():
    found, pool = support_sets(data(), draw(5)), data()
    run = draw_episodes(pool.as_task(), draw(5))
    assert np.array_equal(found.support, run.support)
    assert found.query.size == 0


@pytest.mark.parametrize("shots", [2, 3, 5, None])
def test_folds_hold_each_item_out_once(shots):
    sets = support_sets(data((12, 7, 9)) if shots is None else data(), draw(shots, episodes=1 if shots is None else 4))
    folds = cross_validation(sets, 5)
    assert len(folds) == min(5, shots or 12)
    for row in range(len(sets)):
        whole, _ = items(sets, row)
        held = []
        for fold in folds:
            support, query = items(fold, row)
            assert support | query == whole
            assert not support & query
            assert {label for _, label in support} == {0, 1, 2}
            held.extend(query)
        assert sorted(held) == sorted(whole)


def test_an_episode_without_an_item_in_a_fold_is_scored_in_the_others(sweep):
    trials = sweep(method="knn", objectives=["score", "likelihood"], shots=5).trials
    few = np.flatnonzero(np.arange(20) % 5 < 2)  # two items of each of its four classes
    parts = {name: getattr(trials.sets, name).copy() for name in ("support", "support_labels")}
    for part in parts.values():
        part[0] = np.append(part[0, few], np.full(20 - len(few), PADDING))
    trials.sets = dataclasses.replace(trials.sets, **parts)
    assert any((fold.query == PADDING).all(axis=1).any() for fold in trials.folds)
    assert np.isfinite(trials.values(KnnConfig(k=1))).all()


@pytest.mark.slow
def test_a_trial_without_a_number_has_failed_by_itself(sweep, monkeypatch):
    """The study would repeat one that has no reason for ever."""
    made = sweep(method="knn", trials=2, space={"k": {"low": 1, "high": 3}})
    monkeypatch.setattr(Trials, "_by_folds", lambda *_: {"score": float("nan")})
    made.run()
    reasons = [trial.user_attrs[REASON] for trial in made.ended()]
    assert reasons == ["objectives must be numbers, got NaN of score"] * 2


def test_at_one_shot_two_items_of_a_class_take_turns():
    sets = support_sets(data(), draw(1))
    folds = cross_validation(sets, 5)
    assert len(folds) == 2
    for fold in folds:
        assert fold.support.shape == fold.query.shape == (4, 3)
    assert np.array_equal(folds[0].support, folds[1].query)
    with pytest.raises(UsageError, match="at one shot needs two support items of each class to hold one out, got one"):
        support_sets(data((3, 1)), draw(1))


def test_the_only_item_of_a_class_is_never_held_out():
    sets = support_sets(data((4, 1)), draw(None, episodes=1))
    for fold in (*cross_validation(sets, 4), *repeated_splits(sets, 3)):
        support, query = items(fold, 0)
        assert {label for _, label in query} == {0}
        assert {label for _, label in support} == {0, 1}


def test_splits_hold_out_a_fifth_of_each_class_and_differ():
    sets = support_sets(data((10, 20, 1)), draw(None, episodes=1))
    found = repeated_splits(sets, 4)
    for split in found:
        support, query = items(split, 0)
        assert np.bincount([label for _, label in query]).tolist() == [2, 4]
        assert not support & query
    assert len({tuple(sorted(items(split, 0)[1])) for split in found}) == 4
    again = repeated_splits(sets, 4)
    assert all(np.array_equal(one.query, other.query) for one, other in zip(found, again, strict=True))


def test_leaving_one_out_in_closed_form_is_what_folds_of_one_item_give(sweep):
    """With as many folds as shots and nothing cut off: the same items, answered by the same maps."""
    config = FaastOnFeaturesConfig(alpha=4.0, prior_strength=3.0)
    closed = sweep(method="faast", shots=3, objectives=["likelihood"]).trials
    assert closed.validation == "leave_one_out"
    sets: Episodes = closed.sets
    one_by_one = sweep(method="faast", shots=3, objectives=["likelihood"], validation="cross_validation").trials
    one_by_one.folds = [_without(sets, item) for item in range(sets.support.shape[1])]
    assert closed.values(config) == pytest.approx(one_by_one.values(config), abs=1e-5)


def _without(sets, item):
    others = np.arange(sets.support.shape[1]) != item
    return Episodes(
        sets.classes, sets.support[:, others], sets.support_labels[:, others], sets.support[:, ~others],
        sets.support_labels[:, ~others],
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"method": "faast"}, "leave_one_out"),
        ({"method": "ridge"}, "leave_one_out"),
        ({"method": "faast", "shots": 1}, "cross_validation"),
        ({"method": "faast", "set": {"solver": "pinv"}}, "cross_validation"),
        ({"method": "faast", "set": {"alpha": "auto"}}, "cross_validation"),
        ({"method": "ridge", "set": {"random_features": 8}}, "cross_validation"),
        ({"method": "knn"}, "cross_validation"),
        ({"method": "faast", "validation": "splits"}, "splits"),
    ],
)
def test_items_are_left_out_in_closed_form_where_that_is_possible(sweep, fields, found):
    assert sweep(**fields).trials.validation == found


def test_what_is_impossible_is_said(sweep):
    with pytest.raises(UsageError, match="knn has no closed-form leave-one-out scores here; use --validation"):
        sweep(method="knn", validation="leave_one_out")
    with pytest.raises(UsageError, match="nothing to tune: knn_lm serves language_modelling"):
        sweep(method="knn_lm")
    with pytest.raises(UsageError, match=r"bench sweep: sampler: .*'tpe'"):
        sweep(sampler="annealing")


def test_trials_are_made_of_the_default_s_number_of_support_sets(sweep):
    assert len(sweep(episodes=None).trials.sets) == 6  # all that the task's protocol has
    assert isinstance(sweep().trials, Trials)
