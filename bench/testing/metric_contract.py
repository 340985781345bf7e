"""Contract suite of metrics: the properties that leaderboards, comparisons and records depend on."""

import sys

import numpy as np
import pytest

from bench.contracts import CLASSIFICATION, EpisodePredictions, Kind, Metric
from bench.contracts.references import Target
from bench.stats.intervals import Floats

QUERIES, WAYS = 12, 3
ROUNDING = 1e-9
"""Largest rounding error of a score at a bound."""


class MetricContract:
    """Tests that every metric passes; subclass it and override the fixture ``metric``.

    ``class TestMyMetric(MetricContract):`` with this fixture in it is a whole test module::

        @pytest.fixture
        def metric(self):
            return MyMetric("my_metric")

    Fixtures to override:
        metric: An instance.
        episode: Predictions of one episode of a task of a kind that the metric scores.
        perfect: Predictions of the same episode without an error; by default of confident right answers.
    """

    @pytest.fixture
    def metric(self) -> Metric:
        """The metric under test."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `metric` that returns an instance")

    @pytest.fixture
    def kind(self, metric: Metric) -> Kind:
        """A kind of task that the metric scores."""
        return min(metric.kinds)

    @pytest.fixture
    def episode(self, kind: Kind) -> EpisodePredictions:
        """Predictions of which some are right."""
        return predictions(kind, skill=0.5)

    @pytest.fixture
    def perfect(self, kind: Kind) -> EpisodePredictions:
        """Predictions that are all right."""
        return predictions(kind, skill=1.0)

    @pytest.fixture
    def values(self, metric: Metric, episode: EpisodePredictions) -> Floats:
        """Values of each query."""
        return metric.query_values(episode)

    def test_declares_itself(self, metric: Metric) -> None:
        assert sys.modules[type(metric).__module__].__doc__, "bench list shows the first line of the docstring"
        assert type(metric).__doc__
        assert metric.title
        assert metric.title in metric.label
        assert metric.unit in metric.label
        assert metric.kinds
        assert metric.kinds <= frozenset(Kind)
        assert metric.fields
        assert set(metric.fields.values()) <= {"bool", "int64", "float64"}

    def test_scores_are_printed_with_their_decimals(self, metric: Metric) -> None:
        assert metric.decimals >= 0
        assert metric.text(12.3456789) == f"{12.3456789:.{metric.decimals}f}"
        assert metric.difference_text(1.5) == f"+{1.5:.{metric.decimals + 1}f}"

    def test_values_are_finite_and_of_their_types(self, metric: Metric, values: Floats) -> None:
        assert values.shape == (QUERIES, len(metric.fields))
        assert np.isfinite(values).all()
        for column, kind in zip(values.T, metric.fields.values(), strict=True):
            assert kind == "float64" or (column == column.round()).all(), "whole numbers are stored as such"
            assert kind != "bool" or set(column) <= {0.0, 1.0}

    def test_values_of_a_query_do_not_depend_on_the_others(
        self, metric: Metric, episode: EpisodePredictions, values: Floats
    ) -> None:
        for query in range(QUERIES):
            np.testing.assert_allclose(metric.query_values(selected(episode, [query])), values[[query]], rtol=1e-12)

    def test_the_score_of_an_episode_is_that_of_summed_parts(self, metric: Metric, values: Floats) -> None:
        parts = metric.parts(values)
        assert len(parts) == QUERIES
        score = metric.score(parts.sum(axis=0))
        assert np.isfinite(score)
        assert metric.episode_score(values) == pytest.approx(float(score), rel=1e-12)

    def test_many_sums_are_scored_at_once(self, metric: Metric, values: Floats) -> None:
        parts = metric.parts(values)
        sums = np.stack([parts[:5].sum(axis=0), parts[5:].sum(axis=0), parts.sum(axis=0)])
        scores = metric.score(sums[None])
        assert scores.shape == (1, 3)
        np.testing.assert_allclose(scores[0], [float(metric.score(each)) for each in sums], rtol=1e-12)

    def test_one_query_has_a_score_and_no_interval(self, metric: Metric, values: Floats) -> None:
        for query in range(QUERIES):
            assert np.isfinite(metric.episode_score(values[[query]]))
            assert metric.interval(values[[query]]) is None, "one query does not show how queries differ"

    def test_the_interval_holds_the_score_within_the_bounds_and_is_the_same_again(
        self, metric: Metric, values: Floats
    ) -> None:
        found = metric.interval(values)
        assert found is not None
        low, high = metric.bounds
        assert low <= found.low < metric.episode_score(values) < found.high <= high
        assert metric.interval(values) == found

    def test_bounds_and_scale_fit_the_scores(self, metric: Metric, values: Floats, perfect: EpisodePredictions) -> None:
        low, high = metric.bounds
        assert low < high
        assert not metric.log_scale or low >= 0, "only positive scores have a logarithm"
        for each in (values, metric.query_values(perfect)):
            assert low - ROUNDING <= metric.episode_score(each) <= high + ROUNDING

    def test_better_predictions_have_a_better_score(
        self, metric: Metric, values: Floats, perfect: EpisodePredictions
    ) -> None:
        some, best = metric.episode_score(values), metric.episode_score(metric.query_values(perfect))
        assert (best > some) == metric.higher_is_better
        assert metric.sort_score(best) > metric.sort_score(some)

    @pytest.mark.parametrize("n_episodes", [1, 2])
    def test_comparison_is_antisymmetric(
        self, metric: Metric, values: Floats, perfect: EpisodePredictions, n_episodes: int
    ) -> None:
        best = metric.query_values(perfect)
        sides = [np.stack([metric.parts(each)] * n_episodes, axis=1) for each in (values, best)]
        present = np.ones((QUERIES, n_episodes), dtype=bool)
        forth, back = metric.compare(sides[0], sides[1], present), metric.compare(sides[1], sides[0], present)
        assert forth.a == pytest.approx(metric.episode_score(values))
        assert forth.b == pytest.approx(metric.episode_score(best))
        assert (back.a, back.b) == (forth.b, forth.a)
        assert forth.difference == pytest.approx(forth.a - forth.b)
        assert back.difference == pytest.approx(-forth.difference)
        assert back.interval.low == pytest.approx(-forth.interval.high)
        assert back.effect == pytest.approx(-forth.effect)
        assert back.p_value == pytest.approx(forth.p_value)
        assert 0 < forth.p_value <= 1

    def test_a_method_does_not_differ_from_itself(self, metric: Metric, values: Floats) -> None:
        parts = metric.parts(values)[:, None]
        same = metric.compare(parts, parts, np.ones((QUERIES, 1), dtype=bool))
        assert same.difference == 0
        assert same.effect == 0
        assert not same.is_significant(same.p_value)


def predictions(kind: Kind, skill: float) -> EpisodePredictions:
    """Predictions for one episode.

    Args:
        kind: Kind of task.
        skill: Share of queries with the right answer; for texts, quality of the predicted tokens.

    Returns:
        Predictions of ``QUERIES`` queries.
    """
    rng = np.random.default_rng(0)
    right = np.arange(QUERIES) < skill * QUERIES
    if kind in CLASSIFICATION:
        labels = rng.integers(WAYS, size=QUERIES)
        answers = np.where(right, labels, (labels + 1) % WAYS)
        return EpisodePredictions(scores=rng.random((QUERIES, WAYS)) + 2 * np.eye(WAYS)[answers], labels=labels)
    none = np.zeros(QUERIES, dtype=np.int64)
    # Of a form that metrics of entities and types, of labels, of numbers and of words all read.
    sentences = [f"this is a sentence: number {query} of a small test, {query}" for query in range(QUERIES)]
    if kind is Kind.TEXT_GENERATION:
        others = [f"this is another: a number of a test, {query + QUERIES}" for query in range(QUERIES)]
        written = [text if good else other for text, other, good in zip(sentences, others, right, strict=True)]
        targets: list[Target] = [(sentences[0], "a second reference"), *sentences[1:]]
        return EpisodePredictions(labels=none, generated=written, targets=targets)
    tokens = rng.integers(5, 50, size=QUERIES)
    losses = tokens * (3 - 2 * skill + rng.random(QUERIES))
    return EpisodePredictions(scores=np.column_stack([losses, tokens]), labels=none, texts=sentences)


def selected(episode: EpisodePredictions, queries: list[int]) -> EpisodePredictions:
    """The predictions of some queries of an episode.

    Args:
        episode: Predictions of the episode.
        queries: Positions of the queries.

    Returns:
        Their predictions.
    """
    texts = {
        name: [getattr(episode, name)[query] for query in queries if getattr(episode, name)]
        for name in ("generated", "targets", "texts")
    }
    scores = episode.scores[queries] if len(episode.scores) else episode.scores
    return EpisodePredictions(scores=scores, labels=episode.labels[queries], answer_set=episode.answer_set, **texts)
