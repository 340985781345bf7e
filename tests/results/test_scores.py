"""The score of a run, and the same number wherever a record is reported."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bench.contracts import Kind
from bench.registry import make_metric
from bench.reports.check import checks
from bench.reports.compare import differences
from bench.reports.rows import rows
from bench.results.export import runs
from bench.results.predictions import QueryPredictions
from bench.results.scores import RunScore, mean_score, row_score, score_run
from bench.results.store import Store
from bench.results.verify import problems
from bench.stats.intervals import mean_interval
from tests.helpers.records import made
from tests.helpers.translations import REFERENCES, WRITTEN

METRICS = {
    Kind.IMAGE_CLASSIFICATION: "accuracy",
    Kind.LANGUAGE_MODELLING: "perplexity",
    Kind.TEXT_GENERATION: "bleu",
}
LOSSES = [[[30.0, 10.0], [8.0, 2.0]], [[100.0, 20.0]]]
TEXTS = [["so it is with words", "and two"], ["another text of six words"]]


def group(kind: Kind, queries: list[list[int]], labels: list[list[int]], **texts: list[str]) -> Any:
    """A group of episodes, of which only what scoring reads is there."""
    return SimpleNamespace(
        run=SimpleNamespace(task=SimpleNamespace(kind=kind, answer_set=())),
        episodes=SimpleNamespace(
            query=np.array(queries), query_labels=np.array(labels), classes=np.array([[2, 0, 1]] * len(queries))
        ),
        source=SimpleNamespace(data=SimpleNamespace(classes=("a", "b", "c"))),
        query_texts=lambda: texts["texts"],
        query_targets=lambda: texts["targets"],
    )


def scored(kind: Kind, results: list[Any], groups: list[Any]) -> RunScore:
    return score_run(make_metric(METRICS[kind]), results, groups)


def modelled(*numbers: int) -> RunScore:
    kind = Kind.LANGUAGE_MODELLING
    results = [SimpleNamespace(scores=torch.tensor([LOSSES[number]])) for number in numbers]
    groups = [
        group(kind, [[*range(len(TEXTS[number]))]], [[0] * len(TEXTS[number])], texts=TEXTS[number])
        for number in numbers
    ]
    return scored(kind, results, groups)


def translated(*episodes: tuple[list[str], list[str]]) -> RunScore:
    kind = Kind.TEXT_GENERATION
    results = [SimpleNamespace(texts=written) for written, _ in episodes]
    groups = [group(kind, [[*range(len(targets))]], [[0] * len(targets)], targets=targets) for _, targets in episodes]
    return scored(kind, results, groups)


def test_padding_is_no_query() -> None:
    result = SimpleNamespace(scores=torch.eye(3).repeat(2, 1, 1))  # answers 0, 1, 2
    result.scores[0, 2] = torch.nan  # padding
    found = scored(
        Kind.IMAGE_CLASSIFICATION,
        [result],
        [group(Kind.IMAGE_CLASSIFICATION, [[7, 8, -1], [4, 5, 6]], [[0, 2, -1], [0, 1, 0]])],
    )
    assert found.episode_scores == pytest.approx([50, 200 / 3])
    assert found.score.value == pytest.approx(np.mean([50, 200 / 3]))
    assert found.predictions.query.tolist() == [7, 8, 4, 5, 6]
    assert found.predictions.values[:, 0].tolist() == [1, 0, 1, 1, 0]
    # The classes of an episode are numbers of the task's classes.
    assert found.predictions.classes.names == (list("cbcac"), list("cacab"))


def test_perplexity_is_of_all_scored_tokens_together_not_a_mean_over_texts() -> None:
    found = modelled(0)
    assert found.metric == "perplexity"
    assert found.score.value == pytest.approx(np.exp(38 / 12))
    assert found.episode_scores == [found.score.value]
    assert found.predictions.query.tolist() == [0, 1]
    assert found.notes == {"scored_tokens": 12}


def test_several_episodes_have_the_mean_over_episodes() -> None:
    found = modelled(0, 1)
    assert found.episode_scores == [pytest.approx(np.exp(38 / 12)), pytest.approx(np.exp(5))]
    assert found.score.value == mean_score(found.episode_scores)
    assert found.notes["scored_tokens"] == 32
    assert found.predictions.values.tolist() == [[30, 10], [8, 2], [100, 20]]
    assert found.predictions.episode.tolist() == [0, 0, 1]


def test_a_text_without_words_has_a_perplexity() -> None:
    kind = Kind.LANGUAGE_MODELLING
    result = SimpleNamespace(scores=torch.tensor([[[3.0, 3.0]]]))
    found = scored(kind, [result], [group(kind, [[0]], [[0]], texts=[" \n "])])
    assert found.score.value == pytest.approx(np.e)
    assert found.notes == {"scored_tokens": 3}


def test_bleu_has_sacrebleus_signature() -> None:
    found = translated((WRITTEN, REFERENCES), (WRITTEN[:2], REFERENCES[:2]))
    assert found.metric == "bleu"
    assert len(found.predictions) == 5
    for part in ("nrefs:1", "tok:13a", "case:mixed", "version:"):
        assert part in found.notes["signature"]


def test_per_query_predictions_give_the_score_again() -> None:
    for found in (
        modelled(0),
        modelled(0, 1),
        translated((WRITTEN, REFERENCES)),
        translated((WRITTEN, REFERENCES), (["", "Hund"], REFERENCES[:2])),
    ):
        assert found.predictions.episode_scores() == found.episode_scores


def predictions(metric: str, sizes: tuple[int, ...], skill: float) -> QueryPredictions:
    """Predictions of episodes of given sizes; episodes share queries."""
    rng = np.random.default_rng(int(100 * skill))
    queries = [np.arange(size) for size in sizes]
    if metric == "accuracy":
        values = [(rng.random((size, 1)) < skill).astype(float) for size in sizes]
    elif metric == "perplexity":
        values = [np.column_stack([rng.uniform(1, 5, size) / skill, rng.integers(1, 5, size)]) for size in sizes]
    else:
        correct = [rng.binomial(9, skill, (size, 4)) for size in sizes]
        values = [np.column_stack([each, np.full((len(each), 4), 10), np.full((len(each), 2), 13)]) for each in correct]
    return QueryPredictions.of(metric, queries, values)


@pytest.mark.slow
@pytest.mark.parametrize("metric", sorted(METRICS.values()))
@pytest.mark.parametrize("sizes", [(60,), (10, 50, 30), (8, 20, 12, 30, 9, 14, 40)])
def test_record_board_compare_check_and_export_have_the_same_score(metric, sizes, tmp_path):
    store, baseline = Store(tmp_path / "now"), Store(tmp_path / "before")
    for seed in (0, 1):
        for method, skill in (("a", 0.8), ("b", 0.6)):
            given = predictions(metric, sizes, skill + seed / 20)
            scores, value = given.episode_scores(), mean_score(given.episode_scores())
            interval = mean_interval(np.array(scores), None, make_metric(metric).scale, len(given))
            ends = (interval.low, interval.high) if interval else (value, value)
            record = made(
                {"method": method, "seed": seed, "config": {}},
                metric=metric, episode_scores=scores, n_queries=len(given), value=value, ci_low=ends[0],
                ci_high=ends[1],
            )  # fmt: skip
            store.write(record, given)
            if method == "b":  # the baseline's "a" is the present "b"
                before = made(
                    {"method": "a", "seed": seed, "config": {}}, code="0", metric=metric,
                    **record.model_dump(include={"episode_scores", "n_queries", "ci_low", "ci_high", "value"}),
                )  # fmt: skip
                baseline.write(before, given)
    board = {row.method: row for row in rows(list(store), store.predictions)}
    (compared,) = differences(list(store), "a", "b", store.predictions)
    assert (compared.paired.a, compared.paired.b) == (board["a"].value, board["b"].value)
    assert compared.paired.difference == board["a"].value - board["b"].value
    assert compared.paired.interval.low < compared.paired.difference < compared.paired.interval.high
    assert compared.shared == ""
    scorer = make_metric(metric)

    def find(record):
        return (store if store.path(record.id).exists() else baseline).predictions(record)

    (check,) = [one for one in checks(list(baseline), list(store), find) if one.what == metric]
    assert (check.after, check.before) == (scorer.text(board["a"].value), scorer.text(board["b"].value))
    exported = runs(store).to_pylist()
    for method, row in board.items():
        records = sorted((one for one in store if one.spec.method == method), key=lambda one: one.spec.seed)
        assert row.value == row_score(records).value
        # A row of one record has the record's own score.
        for record in records:
            assert rows([record])[0].value == record.value == mean_score(store.predictions(record).episode_scores())
            assert [one["value"] for one in exported if one["id"] == record.id] == [record.value]
    assert list(problems(store)) == []


def test_the_interval_of_a_record_is_that_of_its_row() -> None:
    found = modelled(0, 1)
    record = made(metric="perplexity", episode_scores=found.episode_scores, n_queries=3)
    assert row_score([record]) == found.score


def test_compare_says_on_how_many_episodes_where_some_are_missing():
    a = made({"method": "a"}, episode_scores=[50.0, 60.0, 70.0])
    b = made({"method": "b"}, episode_scores=[40.0, 50.0])
    (found,) = differences([a, b], "a", "b", lambda record: None)
    assert (found.paired.a, found.paired.b) == (55.0, 45.0)
    assert found.shared == "2 of 3 and 2 episodes are shared"
