"""Metrics of written answers against the formulas of LongICLBench, scikit-learn and sacrebleu."""

import re
from collections.abc import Sequence

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sklearn.metrics import f1_score
from sklearn.preprocessing import MultiLabelBinarizer

from bench.contracts import EpisodePredictions
from bench.contracts.references import Target
from bench.metrics.entity_f1 import entity_types, reference_types
from bench.registry import make_metric

RELATIONS = ("per:friends", "per:age", "per:title")


def score(name: str, written: Sequence[str], targets: Sequence[Target], answer_set: tuple[str, ...] = ()) -> float:
    metric = make_metric(name)
    episode = EpisodePredictions(generated=written, targets=targets, answer_set=answer_set)
    return metric.episode_score(metric.query_values(episode))


@pytest.mark.parametrize(
    ("name", "written", "targets", "expected"),
    [
        # goemotion_infer.py and banking77_infer.py: the first line in lower case.
        ("exact_match", ["Joy", "joy of life", "joy\ncomment: x"], [" joy", " joy", " joy"], 200 / 3),
        # discovery_infer.py: also without quotation marks, commas and full stops.
        ("exact_words", ['“However,”\nx', "how ever", "so_it"], [" however", " however", " so_it,"], 200 / 3),
        ("exact_match", ["however"], [" however,"], 0),
        # The number after the mark, else the last one of the text.
        ("exact_number", ["5 + 3 = 8\n#### 8", "It is 1,008."], [" x\n#### 8", "#### 1008.0"], 100),
        ("exact_number", ["so 7", "none"], ["#### 8", "#### 8"], 0),
        ("exact_number", ["9\n#### -3\nSo 4"], ["#### -3"], 100),
        ("exact_number", ["none"], ["nothing"], 0),
        ("contains", ["The codes are 12 and 99", "none"], [("12", "34"), ("ONE", "x")], 50),
        # tacred_infer.py: precision over the texts that are labels.
        ("label_f1", ["per:age", "per:title", "an age"], [" per:age", " per:age", " per:age"], 40),
    ],
)  # fmt: skip
def test_answers_are_compared_as_published(
    name: str, written: list[str], targets: list[Target], expected: float
) -> None:
    assert score(name, written, targets, RELATIONS if name == "label_f1" else ()) == pytest.approx(expected)


def fewnerd(predicted: list[dict[str, str]], labelled: list[dict[str, str]]) -> float:
    """The formula of fewnerd_evaluate.py."""
    correct = sum(labels.get(entity) == kind for pairs, labels in zip(predicted, labelled, strict=True)
                  for entity, kind in pairs.items())  # fmt: skip
    precision = correct / (sum(map(len, predicted)) + 1e-8)
    recall = correct / (sum(map(len, labelled)) + 1e-8)
    return 200 * precision * recall / (precision + recall)


WRITTEN = [
    "Ann: person-actor\nUlm: location-GPE\nRex: other-livingthing\nSentence: next\nBob: person-actor",
    "\nAnn: person-actor: x\nnothing here\nUlm: location-GPE",
    "Sentence: none",
    "The Gale Storm Show: Oh, Susanna: art-broadcastprogram",
]
REFERENCES = [
    "Ann: person-actor\nUlm: location-park\nBob: person-actor",
    "Ann: person-actor\nUlm: location-GPE",
    "Ulm: location-GPE",
    "The Gale Storm Show: Oh, Susanna: art-broadcastprogram",
]


def test_entities_and_types_are_scored_by_longiclbenchs_formula_and_scikit_learns() -> None:
    predicted, labelled = [entity_types(text) for text in WRITTEN], [reference_types(text) for text in REFERENCES]
    assert predicted == [
        {"Ann": "person-actor", "Ulm": "location-GPE", "Rex": "other-livingthing"}, {"Ann": "person-actor"}, {},
        {"The Gale Storm Show": "Oh, Susanna"},
    ]  # fmt: skip
    assert labelled[-1] == {"The Gale Storm Show: Oh, Susanna": "art-broadcastprogram"}
    found = score("entity_f1", WRITTEN, REFERENCES)
    assert found == pytest.approx(fewnerd(predicted, labelled), rel=1e-6)
    pairs = [[": ".join(pair) for pair in each.items()] for each in (*labelled, *predicted)]
    matrix = MultiLabelBinarizer().fit_transform(pairs)
    expected = f1_score(matrix[: len(labelled)], matrix[len(labelled) :], average="micro")
    assert found == pytest.approx(100 * expected, rel=1e-12)


def dialogre(written: Sequence[str], references: Sequence[str]) -> float:
    """The formula of dialogueRE_evaluate.py."""
    total_label = total_pred = total_correct = 0
    for text, reference in zip(written, references, strict=True):
        pred, label = ([part.strip() for part in each.split(",")] for each in (text, reference))
        total_label += len(label)
        total_pred += sum(any(relation in part for relation in RELATIONS) for part in pred)
        for one, other in zip(label, pred, strict=False):
            total_correct += one == other or one in other
    precision, recall = total_correct / (total_pred + 1e-8), total_correct / (total_label + 1e-8)
    return 200 * precision * recall / (precision + recall + 1e-8)


def test_relations_are_compared_position_by_position() -> None:
    written = ["per:age, a per:title,unknown", "per:title", "per:friends, per:age, per:age"]
    references = [" per:age, per:title, per:friends", " per:friends, per:title", " per:friends, per:title"]
    found = score("position_f1", written, references, RELATIONS)
    assert found == pytest.approx(dialogre(written, references), rel=1e-6)
    assert found == pytest.approx(600 / (6 + 7))


def test_chrf_and_bleu_are_sacrebleus_with_one_reference_and_with_two() -> None:
    written = ["Ein Hund läuft über die Wiese.", "Eine Frau sitzt auf der Bank.", "Zwei Kinder spielen am Strand."]
    first = ["Ein Hund läuft über eine Wiese.", "Eine Frau sitzt auf einer Bank.", "Zwei Kinder spielen im Sand."]
    second = ["Der Hund rennt.", "Eine Frau sitzt auf der Bank.", "Kinder spielen am Strand."]
    for name, theirs in (("chrf", CHRF()), ("bleu", BLEU())):
        assert score(name, written, first) == theirs.corpus_score(written, [first]).score
        both = list(zip(first, second, strict=True))
        assert score(name, written, both) == theirs.corpus_score(written, [first, second]).score
        assert score(name, written, both) > score(name, written, first)
    signature = make_metric("chrf").notes([EpisodePredictions(generated=written, targets=first)], [])["signature"]
    assert re.search(r"nrefs:1.*nc:6\|nw:0", signature)


def test_of_several_references_the_best_one_counts() -> None:
    assert score("exact_match", ["b"], [("a", "B")]) == 100
    assert score("entity_f1", ["Ann: x"], [("Bob: x", "Ann: x")]) == 100
    assert np.isfinite(make_metric("entity_f1").score(np.zeros(3)))
