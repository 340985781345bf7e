"""Per-query predictions: as files, and as scores."""

import dataclasses
import io

import numpy as np
import pyarrow.parquet as pq
import pytest

from bench.registry import make_metric
from bench.results.predictions import ClassPredictions, QueryPredictions

EXAMPLES = {
    "accuracy": QueryPredictions.of(
        "accuracy", [np.array([3, 4, 9]), np.array([4])], [np.array([[1], [0], [1]]), [[0]]]
    ),
    "perplexity": QueryPredictions.of("perplexity", [np.array([0, 1])], [np.array([[1 / 3, 2], [5e-9, 1]])]),
    "bleu": QueryPredictions.of("bleu", [np.array([2])], [np.array([[4, 2, 1, 0, 6, 5, 4, 3, 6, 7]])]),
}


@pytest.mark.parametrize("metric", sorted(EXAMPLES))
def test_a_file_reads_back_to_the_last_digit_and_is_the_same_each_time(metric):
    written = EXAMPLES[metric]
    content = written.to_bytes()
    assert content == written.to_bytes()
    back = QueryPredictions.from_bytes(metric, content)
    for one, other in ((written.episode, back.episode), (written.query, back.query), (written.values, back.values)):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert pq.read_table(io.BytesIO(content)).column_names == ["episode", "query", *make_metric(metric).fields]


def test_a_file_of_classification_has_the_right_and_the_predicted_classes_by_name():
    given = ClassPredictions(("a", "b", "unused", "c"), np.array([0, 1, 3, 0]), np.array([0, 0, 3, 1]))
    written = dataclasses.replace(EXAMPLES["accuracy"], classes=given)
    content = written.to_bytes()
    assert content == written.to_bytes()
    table = pq.read_table(io.BytesIO(content))
    assert table.column_names == ["episode", "query", "right", "true_class", "predicted_class"]
    assert table["true_class"].to_pylist() == ["a", "b", "c", "a"]
    back = QueryPredictions.from_bytes("accuracy", content)
    assert back.classes.names == given.names
    assert back.to_bytes() == content
    assert back.classes.wrong.tolist() == [False, True, False, True]
    np.testing.assert_array_equal(back.values, written.values)


def test_many_queries_take_little_room():
    rng = np.random.default_rng(0)
    right = rng.random((600, 75, 1)) < 0.7
    queries = np.stack([np.sort(rng.choice(12_000, 75, replace=False)) for _ in range(600)])
    assert len(QueryPredictions.of("accuracy", list(queries), list(right)).to_bytes()) < 150_000
    true = rng.integers(0, 10, right.size)
    predicted = np.where(right.ravel(), true, rng.integers(0, 10, right.size))
    classes = ClassPredictions(tuple("abcdefghij"), true, predicted)
    assert len(QueryPredictions.of("accuracy", list(queries), list(right), classes).to_bytes()) < 200_000


def test_scores_by_episode():
    assert EXAMPLES["accuracy"].episode_scores() == [pytest.approx(200 / 3), 0]
    assert EXAMPLES["perplexity"].episode_scores() == [pytest.approx(np.exp((1 / 3 + 5e-9) / 3))]
    # Three orders matched, the fourth smoothed to half of one in three; shorter than the reference by one in seven.
    precisions = [4 / 6, 2 / 5, 1 / 4, 1 / 2 / 3]
    expected = 100 * np.exp(np.mean(np.log(precisions)) + 1 - 7 / 6)
    assert EXAMPLES["bleu"].episode_scores() == [pytest.approx(expected)]


def test_a_file_of_another_metric_is_refused():
    with pytest.raises(ValueError, match="needs the columns episode, query, nll, tokens, got episode, query, right"):
        QueryPredictions.from_bytes("perplexity", EXAMPLES["accuracy"].to_bytes())
    with pytest.raises(ValueError, match="not a parquet file"):
        QueryPredictions.from_bytes("accuracy", b"no parquet")
