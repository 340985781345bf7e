"""Tasks of translation: prompts as published, who sees the references, languages that are not there."""

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from bench.contracts import DataError, Kind
from tasks._translation import language_names, prompt, sentence_pairs
from tasks.iwslt2017 import Iwslt2017
from tasks.multi30k import Multi30k
from tests.helpers.places import SHARED

DOG = {"en": "A dog.", "de": "Ein Hund.", "fr": "Un chien."}
CAT = {"en": "A cat.", "de": "Eine Katze.", "fr": "Un chat."}
THANKS = {"en": "Thanks.", "de": "Danke.", "fr": "Merci."}


def write(folder: Path, name: str, support: list[Any], query: list[Any], split: str = "train") -> Path:
    (folder / name).mkdir(exist_ok=True)
    for place, rows in ((split, support), ("test", query)):
        Dataset.from_dict({"translation": rows}).to_parquet(folder / name / f"{place}.parquet")
    return folder


def test_the_prompt_is_the_published_one() -> None:
    assert prompt("en", "de", "A dog.") == "Please translate English text into German.\n\nEnglish: A dog.\nGerman:"
    assert prompt("fr", "en", "Oui.") == "Please translate French text into English.\n\nFrench: Oui.\nEnglish:"


@pytest.mark.parametrize("pair", [("en", "xx"), ("xx", "en"), ("en", "en")])
def test_an_unknown_language_pair_is_named_before_anything_is_read(pair: tuple[str, str]) -> None:
    with pytest.raises(DataError, match=f"two of the languages de, en, fr, got {pair[0]} to {pair[1]}"):
        language_names(*pair)
    with pytest.raises(DataError, match="two of the languages"):
        Multi30k("-".join(pair))


@pytest.mark.parametrize("direction", Multi30k.variants)
def test_every_direction_of_multi30k(tmp_path: Path, direction: str) -> None:
    task, (source, target) = Multi30k(direction), direction.split("-")
    data = task.load(write(tmp_path, "multi30k", [DOG], [CAT]))
    assert task.kind is Kind.TEXT_GENERATION
    assert data.support.inputs["input"][:] == [prompt(source, target, DOG[source])]
    assert data.query.inputs["input"][:] == [prompt(source, target, CAT[source])]
    assert data.support.targets == [f" {DOG[target]}"]
    assert data.query.targets == [f" {CAT[target]}"]
    assert data.classes == ("text",)


@pytest.mark.parametrize("direction", Iwslt2017.variants)
def test_every_direction_of_iwslt2017(tmp_path: Path, direction: str) -> None:
    task, (source, target) = Iwslt2017(direction), direction.split("-")
    both = [{code: row[code] for code in (source, target)} for row in (DOG, CAT)]
    data = task.load(write(tmp_path, f"iwslt2017-{direction}", both[:1], both[1:], split="validation"))
    assert data.query.inputs["input"][:] == [prompt(source, target, CAT[source])]
    assert data.support.targets == [f" {DOG[target]}"]
    assert data.revision.endswith(" (validation)")
    assert task.source.files.format(split="test") == f"iwslt2017-{direction}/test/0000.parquet"


def test_query_pairs_are_not_in_the_support_pool(tmp_path: Path) -> None:
    data = Multi30k().load(write(tmp_path, "multi30k", [DOG, THANKS], [CAT, THANKS]))
    assert data.support.targets == [" Ein Hund."]
    assert data.query.targets == [" Eine Katze.", " Danke."]


def test_sentences_are_one_line_and_pairs_with_an_empty_side_are_left_out() -> None:
    rows = [{"en": " A\n dog. ", "de": "Ein Hund."}, {"en": "A cat.", "de": " "}, {"en": None, "de": "Eine Katze."}]
    assert sentence_pairs("x", Dataset.from_dict({"translation": rows}), "en", "de") == [("A dog.", "Ein Hund.")]


def test_languages_may_have_columns_of_their_own() -> None:
    rows = Dataset.from_dict({"en": ["A dog."], "de": ["Ein Hund."]})
    assert sentence_pairs("x", rows, "de", "en") == [("Ein Hund.", "A dog.")]
    with pytest.raises(DataError, match="x needs the languages en and fr in each row, got en, de; give a copy"):
        sentence_pairs("x", rows, "en", "fr")


def test_a_language_that_is_not_in_the_data_is_named(tmp_path: Path) -> None:
    write(tmp_path, "multi30k", [{"en": "A dog.", "de": "Ein Hund."}], [{"en": "A cat.", "de": "Eine Katze."}])
    with pytest.raises(DataError, match="languages en and fr in each row, got "):
        Multi30k("en-fr").load(tmp_path)
    with pytest.raises(DataError, match="got str"):
        sentence_pairs("x", Dataset.from_dict({"translation": ["A dog."]}), "en", "de")


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "multi30k").is_dir(), reason=f"no multi30k in {SHARED}")
@pytest.mark.parametrize("direction", ["en-de", "fr-en"])
def test_the_published_sentences_are_read(direction: str) -> None:
    data = Multi30k(direction).load(SHARED)
    assert len(data.query.labels) == 1000
    assert 28_900 < len(data.support.labels) <= 29_000
    queries = set(zip(data.query.inputs["input"], data.query.targets or (), strict=True))
    assert not queries & set(zip(data.support.inputs["input"], data.support.targets or (), strict=True))
