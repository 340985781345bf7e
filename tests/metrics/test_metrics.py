"""Metrics against scikit-learn and sacrebleu, and their intervals against formulas written out."""

import inspect
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sklearn.metrics import accuracy_score

from bench import registry
from bench.contracts import EpisodePredictions, Kind, Metric, NumericalError, Task, UsageError
from bench.registry import make_metric, metric_of
from bench.stats.intervals import mean_interval
from tests.helpers.translations import REFERENCES, WRITTEN

ACCURACY, PERPLEXITY, BLEU_ = map(make_metric, ("accuracy", "perplexity", "bleu"))


def test_help_describes_every_attribute_of_a_metric():
    described = re.findall(r"^    (\w+): ", inspect.getdoc(Metric), re.MULTILINE)
    assert described == list(Metric.__annotations__)


def classified(scores, labels):
    return ACCURACY.query_values(EpisodePredictions(scores=scores, labels=labels))


def translated(written, references):
    return BLEU_.query_values(EpisodePredictions(generated=written, targets=references))


def test_perplexity_per_word_counts_every_word_of_all_texts() -> None:
    metric = make_metric("word_perplexity")
    texts = EpisodePredictions(scores=np.array([[20.0, 5], [18.0, 7]]), texts=(" = A title = \n", "two words"))
    values = metric.query_values(texts)
    # White space at either end parts an empty word off, as in the harness.
    assert values[:, 2].tolist() == [6, 2]
    assert metric.episode_score(values) == pytest.approx(np.exp(38 / 8))
    notes = {"scored_tokens": 12, "words": 8, "token_perplexity": pytest.approx(np.exp(38 / 12))}
    assert metric.notes([texts], [values]) == notes


def test_accuracy_is_scikit_learns():
    rng = np.random.default_rng(0)
    scores, labels = rng.standard_normal((40, 5)), rng.integers(5, size=40)
    wanted = 100 * accuracy_score(labels, scores.argmax(-1))
    assert ACCURACY.episode_score(classified(scores, labels)) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused_and_counted(bad):
    scores = np.zeros((3, 4))
    scores[2, 0] = bad
    with pytest.raises(NumericalError, match="got 1 of 3 queries of an episode with NaN or infinity"):
        classified(scores, np.zeros(3, dtype=int))


@pytest.mark.slow
@given(st.data())
def test_one_episode_of_answers_has_wilsons_interval(data):
    n = data.draw(st.integers(2, 5000))
    right = data.draw(st.integers(0, n))
    interval = ACCURACY.interval((np.arange(n) < right)[:, None].astype(float))
    found = (interval.high - interval.low) / 2
    z, p = 1.959963984540054, right / n
    half = z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    assert found == pytest.approx(100 * half, rel=1e-6, abs=1e-9)
    assert found > 0  # all right out of n is no certainty


items = st.lists(st.tuples(st.floats(0, 5), st.integers(1, 500)), min_size=1, max_size=20)


@pytest.mark.slow
@given(items)
def test_perplexity_lies_among_those_of_its_texts_and_splitting_them_changes_nothing(given_items):
    table = np.array([[mean * count, count] for mean, count in given_items])
    found = PERPLEXITY.episode_score(table)
    each = np.exp(table[:, 0] / table[:, 1])
    assert each.min() * (1 - 1e-9) <= found <= each.max() * (1 + 1e-9)
    interval = PERPLEXITY.interval(table)
    assert interval is None or 1 <= interval.low <= found * (1 + 1e-9) <= interval.high * (1 + 2e-9)
    assert PERPLEXITY.episode_score(np.concatenate([table / 2, table / 2])) == pytest.approx(found)


def test_the_interval_of_one_text_is_none_and_that_of_many_shrinks():
    rng = np.random.default_rng(0)
    counts = rng.integers(50, 150, 400)
    table = np.stack([counts * rng.normal(3.0, 0.3, 400), counts], axis=1)
    assert PERPLEXITY.interval(table[:1]) is None
    few, many = PERPLEXITY.interval(table[:25]), PERPLEXITY.interval(table)
    assert np.log(few.high / few.low) / np.log(many.high / many.low) == pytest.approx(4, rel=0.4)
    # Symmetric in the logarithm.
    assert few.low * few.high == pytest.approx(PERPLEXITY.episode_score(table[:25]) ** 2)


def test_the_interval_of_a_perplexity_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        table = np.stack([100 * rng.normal(3.0, 0.3, 60), np.full(60, 100)], axis=1)
        hits += PERPLEXITY.interval(table).low <= np.exp(3.0) <= PERPLEXITY.interval(table).high
    assert 180 <= hits <= 199


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_likelihoods_that_are_not_finite_are_refused(bad):
    with pytest.raises(NumericalError, match="must be finite"):
        PERPLEXITY.query_values(EpisodePredictions(scores=np.array([[bad, 3.0]])))


def test_bleu_is_sacrebleus_to_the_last_digit():
    for count in (1, 2, 3):
        references = [text.strip() for text in REFERENCES[:count]]
        expected = BLEU().corpus_score(WRITTEN[:count], [references]).score
        assert BLEU_.episode_score(translated(WRITTEN[:count], references)) == expected
    assert 0 < expected < 100


def test_the_interval_of_bleu_is_about_sacrebleus():
    rng = np.random.default_rng(0)
    words = [f"word{number}" for number in range(30)]
    references = [" ".join(rng.choice(words, 12)) for _ in range(80)]
    written = [
        " ".join(word if rng.random() < 0.8 else "other" for word in reference.split()) for reference in references
    ]
    printed = BLEU().corpus_score(written, [references], n_bootstrap=1000).format()
    theirs = float(re.search(r"± ([\d.]+)", printed)[1])
    found = BLEU_.interval(translated(written, references))
    assert (found.high - found.low) / 2 == pytest.approx(theirs, rel=0.1)


def test_nothing_written_scores_nothing_and_the_reference_itself_everything():
    assert BLEU_.episode_score(translated(["", "", ""], REFERENCES)) == 0
    assert BLEU_.episode_score(translated([text.strip() for text in REFERENCES], REFERENCES)) == pytest.approx(100)


@pytest.mark.parametrize("name", sorted(registry.find("metrics")))
def test_any_number_of_sums_is_scored_at_once(name):
    metric = make_metric(name)
    parts = metric.parts(np.ones((3, len(metric.fields))))
    sums = np.tile(parts.sum(axis=0), (2, 3, 1))
    assert metric.score(sums).shape == (2, 3)


def test_students_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        scores = 100 * rng.binomial(40, 0.7, size=5) / 40
        found = mean_interval(scores)
        hits += found is not None and found.low <= 70 <= found.high
    assert 930 <= hits <= 970


def test_intervals_over_episodes_are_students_for_few_and_the_usual_ones_for_many():
    few = np.array([50.0, 60.0, 70.0, 80.0])
    # t(0.975, 3 degrees of freedom) from a printed table; the standard error is std / sqrt(4).
    found = mean_interval(few)
    assert (found.high - found.low) / 2 == pytest.approx(3.182446 * few.std(ddof=1) / 2, rel=1e-6)
    many = np.random.default_rng(0).uniform(40, 60, 600)
    found = mean_interval(many)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * many.std(ddof=1) / 600**0.5, rel=0.05)


def test_a_task_has_the_metric_of_its_kind_or_the_one_it_names():
    def task(kind, metric=None):
        return type("Made", (Task,), {"kind": kind, "metric": metric})

    assert metric_of(task(Kind.TEXT_GENERATION)).name == "exact_match"
    assert metric_of(task(Kind.TEXT_GENERATION, "bleu")).name == "bleu"
    assert metric_of(task(Kind.TEXT_CLASSIFICATION, "accuracy")).name == "accuracy"
    with pytest.raises(UsageError, match="no metric 'accurcy'; did you mean 'accuracy'"):
        metric_of(task(Kind.TEXT_CLASSIFICATION, "accurcy"))
    with pytest.raises(UsageError, match="the metric bleu scores text_generation, and the task is text_classification"):
        metric_of(task(Kind.TEXT_CLASSIFICATION, "bleu"))
