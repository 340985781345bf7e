"""Nearest class mean against scikit-learn, and its centring against SimpleShot's formula."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import normalize

from bench.testing.driver import adapted
from bench.testing.problems import Problem, problem
from methods.nearest_mean import NearestMean

SHAPES = {"few": problem(n_shot=3, sizes=[12, 9, 12]), "many": problem(n_shot=15, sizes=[60, 47, 60])}


@pytest.mark.parametrize("given", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("centre", [False, True])
def test_equals_cosine_with_scikit_learns_centroids(given: Problem, centre: bool) -> None:
    scores = adapted(NearestMean, given, items_at_once=7, centre=centre).predict(given.query)
    for episode in range(3):
        mask = given.support.mask[episode]
        keys, labels = given.support.keys[episode][mask].double().numpy(), given.support.labels[episode][mask].numpy()
        queries = given.query.keys[episode].double().numpy()
        if centre:
            middle = keys.mean(axis=0)
            keys, queries = normalize(keys - middle), normalize(queries - middle)
        centroids = NearestCentroid().fit(keys, labels).centroids_
        expected = torch.from_numpy(np.asarray(queries @ normalize(centroids).T))
        torch.testing.assert_close(scores[episode].double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("centre", [False, True])
def test_a_class_without_examples_comes_last(centre: bool) -> None:
    given = problem(sizes=[0, 1, 12])
    scores = adapted(NearestMean, given, centre=centre).predict(given.query)
    assert (scores[0] == -1).all()
    label = int(given.support.labels[1][0])
    others = [other for other in range(4) if other != label]
    assert (scores[1][:, others] == -1).all()
    assert (scores[1][:, label] > -1).all()


def test_state_is_a_mean_per_class() -> None:
    few, many = (adapted(NearestMean, problem(n_shot=shots), centre=True) for shots in (2, 20))
    assert few.state_bytes() == many.state_bytes() == 4 * 3 * (4 + 1) * 16 + 3 * 4
