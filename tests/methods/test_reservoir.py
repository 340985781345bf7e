"""Stores of limited size: how full, how balanced, how random."""

from dataclasses import replace

import pytest
import torch

from bench.contracts import Limits
from bench.testing.driver import adapted
from bench.testing.items import columns
from bench.testing.problems import problem
from methods._reservoir import Reservoir

MIB = 2**20
GIVEN = problem(n_shot=400, key_dim=32, sizes=[1600, 1600, 1600], seed=3)


def limited(given, state_bytes):
    return replace(given, shape=replace(given.shape, limits=Limits(state_bytes=state_bytes)))


def load(name):
    from bench import registry

    return registry.method_class(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["softmax_memory", "knn", "tip_adapter"])
@pytest.mark.parametrize("kilobytes", [20, 60])
def test_a_store_fills_its_limit_and_keeps_to_it(name, kilobytes):
    limit = kilobytes * 1024
    for items_at_once in (None, 37):
        method = adapted(load(name), limited(GIVEN, limit), items_at_once=items_at_once)
        each = method.state_bytes() / GIVEN.shape.n_episodes
        assert 0.99 * limit <= each <= limit


@pytest.mark.slow
@pytest.mark.parametrize("name", ["softmax_memory", "knn", "tip_adapter"])
def test_a_limit_that_leaves_room_changes_nothing(name):
    free = adapted(load(name), GIVEN)
    roomy = adapted(load(name), limited(GIVEN, 100 * MIB))
    assert torch.equal(free.predict(GIVEN.query), roomy.predict(GIVEN.query))


def test_classes_stay_in_balance_whatever_order_they_come_in():
    method = adapted(load("knn"), limited(GIVEN, 20 * 1024), items_at_once=100)
    stored = method.memory
    for labels, mask in zip(stored.values.squeeze(-1), stored.mask, strict=True):
        counts = labels[mask].bincount(minlength=GIVEN.shape.n_way)
        assert counts.max() - counts.min() <= 1


def test_batches_do_not_change_what_is_kept():
    whole = adapted(load("knn"), limited(GIVEN, 20 * 1024))
    parts = adapted(load("knn"), limited(GIVEN, 20 * 1024), items_at_once=50)
    for ours, other in ((whole.memory.keys, parts.memory.keys), (whole.memory.values, parts.memory.values)):
        assert torch.equal(ours.flatten(1).sort(dim=1).values, other.flatten(1).sort(dim=1).values)


@pytest.mark.slow
def test_every_item_has_the_same_chance():
    n_items, most, kept = 60, 12, torch.zeros(60)
    labels = torch.arange(n_items).remainder(3)[None]
    mask = torch.ones(1, n_items, dtype=torch.bool)
    for seed in range(2000):
        reservoir = Reservoir(None, 3, seed)
        index = reservoir.chosen(reservoir.draws(mask), labels, mask, most)[0]
        assert labels[0, index].bincount().tolist() == [4, 4, 4]
        kept[index] += 1
    # 400 expected; a binomial's standard deviation is 18.
    assert (kept - 400).abs().max() < 5 * 18


def test_small_classes_are_kept_whole_and_padding_is_not():
    labels = torch.tensor([[0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0]])
    mask = torch.tensor([[True] * 9 + [False] * 2])
    reservoir = Reservoir(None, 2, 0)
    index = reservoir.chosen(reservoir.draws(mask), labels, mask, 6)[0]
    assert labels[0, index].tolist().count(1) == 2
    assert mask[0, index].all()


def test_queries_see_only_what_is_stored():
    given = limited(GIVEN, 20 * 1024)
    method = adapted(load("softmax_memory"), given)
    answer = method.predict(columns(given.query, slice(0, 5)))
    assert answer.isfinite().all()
