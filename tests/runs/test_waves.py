"""The run with the fewest items comes first, where the others need many more."""

from types import SimpleNamespace

import numpy as np
import pytest

from bench.data.episodes import PADDING
from bench.runs.waves import n_items, waves
from bench.spec.budget import Budget


def drawn(support, query):
    return SimpleNamespace(support=np.array(support), query=np.array(query))


def run(name, support, query, budget=None, reference_id=None):
    spec = SimpleNamespace(method=name, config={}, shots=1, budget=budget or Budget())
    return SimpleNamespace(spec=spec, episodes=drawn(support, query), reference_id=reference_id)


def names(found):
    return [[one.spec.method for one in wave] for wave in found]


def test_items_count_once_and_padding_not_at_all():
    first, second = drawn([[1, 2], [2, 3]], [[4, PADDING]]), drawn([[3]], [[4, 5]])
    assert n_items([first]) == 4
    assert n_items([first, second]) == 5


def test_the_run_with_the_fewest_items_is_encoded_before_the_others():
    runs = [run("faast", [[0, 1, 2]], [[0, 1]]), run("zero_shot", [[]], [[0, 1]]), run("knn", [[3, 4]], [[0, 1]])]
    assert names(waves(runs)) == [["zero_shot"], ["faast", "knn"]]


def test_of_several_seeds_the_first_comes_first():
    runs = [run("faast", [[0, 1]], [[0]]), run("faast", [[2]], [[0]]), run("knn", [[3, 4, 5]], [[0, 1]])]
    assert waves(runs)[0] == [runs[0]]


def test_runs_on_nearly_the_same_items_are_encoded_together():
    runs = [run("faast", [[0]], [[0, 1, 2, 3]]), run("zero_shot", [[]], [[0, 1, 2, 3]])]
    assert names(waves(runs)) == [["faast", "zero_shot"]]
    assert names(waves(runs[:1])) == [["faast"]]


@pytest.mark.parametrize("limits", [{"budget": Budget(adapt_seconds=1)}, {"reference_id": "0" * 16}])
def test_runs_with_limits_stay_together(limits):
    runs = [run("faast", [[0, 1, 2]], [[0]]), run("zero_shot", [[]], [[0]], **limits)]
    assert names(waves(runs)) == [["faast", "zero_shot"]]
