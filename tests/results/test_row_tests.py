"""Tests of all pairs of a board at once are those of each pair alone."""

from itertools import combinations

import numpy as np
import pytest

from bench.results import shared_episodes
from bench.results.predictions import QueryPredictions
from bench.results.row_sample import Samples
from bench.results.row_tests import tests_of_all as all_tests
from bench.results.shared_episodes import compare_all, paired
from tests.helpers.records import made

N_ROWS = 8


def board(episodes, queries, seeds=(0,), queries_per_class=3, shared_draws=False, few_wrong=False):
    """Records of eight rows with their predictions, the last two rows alike."""
    rng, kept, rows = np.random.default_rng(0), {}, []
    hard = rng.random((len(seeds), episodes, queries))
    for row in range(N_ROWS):
        rng = np.random.default_rng(min(row, N_ROWS - 2))
        records = []
        for place, seed in enumerate(seeds):
            noise = rng.random((episodes, queries))
            right = hard[place] * 0.5 + noise * 0.5 < 0.4 + row / 30
            if few_wrong:
                right = hard[place] + 0.05 * noise < 0.97 - row / 100
            found = QueryPredictions.of(
                "accuracy", [np.arange(queries)] * episodes, list(right.astype(float)[..., None])
            )
            record = made(
                {"method": f"m{row}", "seed": seed, "queries": queries_per_class}, n_queries=right.size,
                episode_scores=found.episode_scores(), shared_draws=shared_draws,
            )  # fmt: skip
            kept[record.id] = found
            records.append(record)
        rows.append(records)
    return rows, lambda record: kept.get(record.id)


@pytest.mark.parametrize(
    "shape",
    [
        {"episodes": 40, "queries": 30},
        {"episodes": 40, "queries": 30, "few_wrong": True},
        {"episodes": 7, "queries": 30},
        {"episodes": 10, "queries": 20, "seeds": (0, 1, 2), "shared_draws": True},
        {"episodes": 1, "queries": 300, "queries_per_class": None},
        {"episodes": 1, "queries": 300, "seeds": (0, 1, 2), "queries_per_class": None},
        {"episodes": 1, "queries": 60, "seeds": range(7), "queries_per_class": None},
        {"episodes": 3, "queries": 10},
    ],
    ids=str,
)
def test_pairs_tested_at_once_have_the_tests_of_each_alone(shape):
    rows, find = board(**shape)
    samples = Samples(find)
    found = all_tests([samples.row(records) for records in rows], samples)
    alone = [paired(a, b, find) for a, b in combinations(rows, 2)]
    assert not np.isnan(found.p_values).any()
    np.testing.assert_array_equal(found.least_p, [each.least_p for each in alone])
    np.testing.assert_array_equal(found.excludes_zero, [each.interval.excludes_zero() for each in alone])
    np.testing.assert_allclose(found.p_values, [each.p_value for each in alone], rtol=1e-14, atol=0)


def test_rows_of_other_episodes_are_compared_one_by_one(monkeypatch):
    rows, find = board(episodes=12, queries=30)
    others, find_others = board(episodes=9, queries=30)
    groups = dict(enumerate([*rows[:4], *others[4:]]))
    found = compare_all(groups, lambda record: find(record) or find_others(record))
    monkeypatch.setattr(shared_episodes, "tests_of_all", lambda rows, samples: all_tests(rows, samples).none(len(rows)))
    assert compare_all(groups, lambda record: find(record) or find_others(record)) == found
    assert found.apart
