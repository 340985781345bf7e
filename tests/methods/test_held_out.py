"""What is held out: balanced over classes, random, and the same whatever the order and the batches."""

from dataclasses import replace

import pytest
import torch

from bench.testing.items import columns, padded
from bench.testing.problems import Problem, problem
from methods._held_out import MOST_PER_CLASS, Sample, draws, n_held_out


def held_positions(given: Problem, parts: int = 5, items_at_once: int | None = None) -> list[list[int]]:
    """Positions of the items that would be held out in each episode, found by their keys."""
    support, n_way = given.support, given.shape.n_way
    step = items_at_once or support.mask.shape[1]
    kept: list[Sample] = []
    for start in range(0, support.mask.shape[1], step):
        batch = Sample.of(columns(support, slice(start, start + step)), given.shape.seed)
        kept = [Sample.joined([*kept, batch]).lowest(n_way)]
    sizes = torch.stack([((support.labels == label) & support.mask).sum(dim=1) for label in range(n_way)], dim=1)
    chosen = kept[0].where(kept[0].held_out(sizes, parts))
    found = []
    for episode in range(given.shape.n_episodes):
        keys = chosen.keys[episode][chosen.mask[episode]]
        same = (keys.unsqueeze(1) == support.keys[episode]).all(dim=-1) & support.mask[episode]
        found.append(sorted(int(place) for place in support.inputs.positions[episode][same.any(dim=0).numpy()]))
    return found


@pytest.fixture
def given() -> Problem:
    return problem(n_shot=12, sizes=[48, 31, 0])


def test_does_not_depend_on_order_batches_or_padding(given: Problem) -> None:
    expected = held_positions(given)
    order = torch.randperm(48, generator=torch.Generator().manual_seed(3))
    shuffled = replace(given, support=columns(given.support, order))
    assert held_positions(shuffled, items_at_once=7) == expected
    assert held_positions(replace(given, support=padded(given.support, 4))) == expected
    reseeded = replace(given, shape=replace(given.shape, seed=1))
    assert held_positions(reseeded) != expected


def test_takes_the_same_share_of_every_class(given: Problem) -> None:
    places = held_positions(given)
    for episode, chosen in enumerate(places):
        labels = given.support.labels[episode][given.support.mask[episode]]
        sizes = labels.bincount(minlength=4)
        at = torch.isin(torch.from_numpy(given.support.inputs.positions[episode]), torch.tensor(chosen))
        assert torch.equal(given.support.labels[episode][at].bincount(minlength=4), n_held_out(sizes, 5))


def test_a_lone_example_is_not_held_out_and_many_are_bounded() -> None:
    assert n_held_out(torch.tensor([0, 1, 2, 9, 10, 10_000]), 5).tolist() == [0, 0, 1, 1, 2, MOST_PER_CLASS]


def test_draws_are_evenly_spread() -> None:
    given = problem(n_episodes=1, n_shot=2500)
    shares = draws(given.support, 7)[0].double() / 2**63
    assert shares.min() >= 0
    assert shares.max() < 1
    assert torch.histc(shares, 10, 0, 1).sub(1000).abs().max() < 150
