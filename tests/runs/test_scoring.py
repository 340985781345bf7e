"""Perplexity against its definition, BLEU against sacrebleu's own."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from bench.contracts import Kind, NumericalError
from bench.metrics._scores import perplexity, summarise
from bench.runs.scoring import Judged, judge

WRITTEN = ["Ein Hund läuft über die Wiese.", "Eine Frau sitzt auf der Bank.", "Zwei Kinder spielen am Strand."]
REFERENCES = [" Ein Hund läuft über eine Wiese.", " Eine Frau sitzt auf einer Bank.", " Zwei Kinder spielen im Sand."]
LOSSES = [[[30.0, 10.0], [8.0, 2.0]], [[100.0, 20.0]]]
QUERIES = [["so it is with words", "and two"], ["another text of six words"]]


def judged(kind: Kind, episodes: list[dict[str, Any]]) -> Judged:
    """Judge episodes alone, each of scores or texts with its queries or targets."""
    outcomes: list[Any] = [
        SimpleNamespace(
            scores=torch.tensor([each.get("scores", [])]), texts=each.get("texts", []), n_queries=len(each["asked"])
        )
        for each in episodes
    ]
    groups: list[Any] = [
        SimpleNamespace(
            query_texts=lambda each=each: each["asked"],
            query_targets=lambda each=each: each["asked"],
            episodes=SimpleNamespace(query=np.arange(len(each["asked"]))[None]),
        )
        for each in episodes
    ]
    return judge(kind, outcomes, groups)


def modelled(*numbers: int) -> Judged:
    return judged(Kind.LANGUAGE_MODELLING, [{"scores": LOSSES[number], "asked": QUERIES[number]} for number in numbers])


def translated(*episodes: tuple[list[str], list[str]]) -> Judged:
    return judged(Kind.TRANSLATION, [{"texts": texts, "asked": targets} for texts, targets in episodes])


def test_perplexity_is_of_all_scored_tokens_together_not_a_mean_over_texts() -> None:
    found = modelled(0)
    assert found.metric == "perplexity"
    assert found.score.value == pytest.approx(np.exp(38 / 12))
    assert found.episode_scores == [found.score.value]
    assert found.outcomes.query.tolist() == [0, 1]
    assert found.notes == {"scored_tokens": 12, "words": 7, "word_perplexity": pytest.approx(np.exp(38 / 7))}


def test_several_episodes_have_the_mean_and_students_interval() -> None:
    found = modelled(0, 1)
    assert found.episode_scores == [pytest.approx(np.exp(38 / 12)), pytest.approx(np.exp(5))]
    assert found.score == summarise(found.episode_scores, 3)
    assert found.notes["scored_tokens"] == 32


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_likelihoods_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(NumericalError, match="must be finite"):
        judged(Kind.LANGUAGE_MODELLING, [{"scores": [[bad, 3.0]], "asked": ["a text"]}])


def test_text_without_a_word_has_no_perplexity_per_word() -> None:
    found = judged(Kind.LANGUAGE_MODELLING, [{"scores": [[3.0, 3.0]], "asked": [" \n "]}])
    assert found.score.value == pytest.approx(np.e)
    assert found.notes == {"scored_tokens": 3, "words": 0}


items = st.lists(st.tuples(st.floats(0, 5), st.integers(1, 500)), min_size=1, max_size=20)


@given(items)
def test_perplexity_lies_among_those_of_its_texts_and_splitting_them_changes_nothing(
    given_items: list[tuple[float, int]],
) -> None:
    table = np.array([[mean * count, count] for mean, count in given_items])
    found = perplexity(table)
    each = np.exp(table[:, 0] / table[:, 1])
    assert each.min() * (1 - 1e-9) <= found.value <= each.max() * (1 + 1e-9)
    assert 0 <= found.ci95 <= (each.max() - each.min()) / 2 + 1e-9
    halves = np.concatenate([table / 2, table / 2])
    assert perplexity(halves).value == pytest.approx(found.value)


def test_the_interval_of_one_text_is_none_and_that_of_many_shrinks() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(50, 150, 400)
    table = np.stack([counts * rng.normal(3.0, 0.3, 400), counts], axis=1)
    assert perplexity(table[:1]).ci95 == 0
    few, many = perplexity(table[:25]), perplexity(table)
    assert few.ci95 / many.ci95 == pytest.approx(4, rel=0.4)
    assert many == perplexity(table)  # the same draws each time


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        table = np.stack([100 * rng.normal(3.0, 0.3, 60), np.full(60, 100)], axis=1)
        found = perplexity(table)
        hits += abs(found.value - np.exp(3.0)) <= found.ci95
    assert 180 <= hits <= 199


def test_bleu_is_sacrebleus_with_its_signature() -> None:
    found = translated((WRITTEN, REFERENCES))
    own = BLEU()
    expected = own.corpus_score(WRITTEN, [[text.strip() for text in REFERENCES]], n_bootstrap=1000)
    assert found.metric == "bleu"
    assert found.score.value == pytest.approx(expected.score)
    assert 0 < found.score.value < 100
    assert f"± {found.score.ci95:.2f})" in expected.format()
    assert found.score.ci95 > 0
    assert len(found.outcomes) == 3
    assert found.notes == {"signature": str(own.get_signature())}
    for part in ("nrefs:1", "bs:1000", "tok:13a", "case:mixed", "version:"):
        assert part in found.notes["signature"]


def test_bleu_of_several_episodes_is_their_mean() -> None:
    found = translated((WRITTEN, REFERENCES), (WRITTEN[:2], REFERENCES[:2]))
    expected = [
        BLEU().corpus_score(WRITTEN[:count], [[text.strip() for text in REFERENCES[:count]]]).score for count in (3, 2)
    ]
    assert found.episode_scores == pytest.approx(expected)
    assert found.score == summarise(found.episode_scores, 5)
    assert "bs:" not in found.notes["signature"]


def test_what_became_of_each_query_gives_the_score_again() -> None:
    for found in (
        modelled(0),
        modelled(0, 1),
        translated((WRITTEN, REFERENCES)),
        translated((WRITTEN, REFERENCES), (["", "Hund"], REFERENCES[:2])),
    ):
        assert found.outcomes.episode_scores() == pytest.approx(found.episode_scores)
    assert modelled(0, 1).outcomes.values.tolist() == [[30, 10], [8, 2], [100, 20]]
    assert modelled(0, 1).outcomes.episode.tolist() == [0, 0, 1]


def test_padding_is_no_query() -> None:
    outcome: Any = SimpleNamespace(scores=torch.eye(3).repeat(2, 1, 1))  # answers 0, 1, 2
    queries = np.array([[7, 8, -1], [4, 5, 6]])
    labels = torch.tensor([[0, 2, -1], [0, 1, 0]])
    group: Any = SimpleNamespace(labels=labels, episodes=SimpleNamespace(query=queries))
    found = judge(Kind.IMAGE_CLASSIFICATION, [outcome], [group])
    assert found.episode_scores == pytest.approx([50, 200 / 3])
    assert found.outcomes.query.tolist() == [7, 8, 4, 5, 6]
    assert found.outcomes.values[:, 0].tolist() == [1, 0, 1, 1, 0]


def test_nothing_written_scores_nothing_and_the_reference_itself_everything() -> None:
    assert translated((["", "", ""], REFERENCES)).score.value == 0
    assert translated(([text.strip() for text in REFERENCES], REFERENCES)).score.value == pytest.approx(100)
