"""Tasks of language modelling: what an item is, which split supports, what comes to stand in both pools."""

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from bench.contracts import DataError, Kind
from bench.toolkit import sources as hub
from tasks.pydoc_text import MIN_CHARACTERS, topic_texts
from tasks.pydoc_text import PLUGIN as PYDOC
from tasks.wikitext103 import PLUGIN as WIKITEXT
from tasks.wikitext103 import articles
from tests.helpers.places import SHARED

PARTS = ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001")
ROWS = {
    "train": ["", " = One = \n", "", " Text of one . \n", " = = Part = = \n", "", " More of it . \n"],
    "validation": ["", " = Two = \n", "", " Text of two . \n"],
    "test": ["", " = Three = \n", "", " Text . \n", "", " = Four = \n", "", " Other text . \n"],
}


def write(folder: Path, *splits: str, column: str = "text") -> Path:
    (folder / "wikitext").mkdir(exist_ok=True)
    for split in splits:
        Dataset.from_dict({column: ROWS[split]}).to_parquet(folder / "wikitext" / f"{split}.parquet")
    return folder


def test_articles_begin_at_headings_of_level_one() -> None:
    assert articles(ROWS["test"]) == [" = Three = \n\n\n\n\n Text . \n\n\n", " = Four = \n\n\n\n\n Other text . \n"]
    assert len(articles(ROWS["train"])) == 1


def test_formulas_that_look_like_headings_are_text() -> None:
    rows = ["", " = Filter = \n", "", " Let \n", " = 1 / s and k = \n", " be so . \n"]
    (article,) = articles(rows)
    assert " = 1 / s and k = " in article


def test_text_before_the_first_heading_is_kept_and_blank_rows_are_not() -> None:
    assert articles([" \n", "", None]) == []
    assert articles([" Text . \n", "", " = One = \n", "", " More . \n"])[0].strip() == "Text ."


def test_blank_rows_are_the_same_however_they_are_written() -> None:
    spaced = [row or " \n" for row in ROWS["test"]]
    assert articles(spaced) == articles(ROWS["test"])


def test_train_is_the_support_pool_and_test_the_query_pool(tmp_path: Path) -> None:
    task = WIKITEXT().load(write(tmp_path, "train", "validation", "test"))
    assert WIKITEXT.kind is Kind.LANGUAGE_MODELLING
    assert [text.split("\n")[0] for text in task.support.inputs["input"]] == [" = One = "]
    assert [text.split("\n")[0] for text in task.query.inputs["input"]] == [" = Three = ", " = Four = "]
    assert task.query.labels.tolist() == [0, 0]
    assert task.classes == ("text",)
    assert task.revision.endswith(" (train)")


def test_validation_supports_where_there_is_no_train_split_and_the_revision_says_so(tmp_path: Path) -> None:
    task = WIKITEXT().load(write(tmp_path, "validation", "test"))
    assert "Two" in task.support.inputs[0]["input"]
    assert task.revision.endswith(" (validation)")
    whole = WIKITEXT().load(write(tmp_path, "train"))
    assert whole.revision != task.revision


def test_sliding_windows_are_the_same_text(tmp_path: Path) -> None:
    folder = write(tmp_path, "validation", "test")
    sliding, plain = WIKITEXT("sliding"), WIKITEXT()
    assert sliding.load(folder).query.inputs["input"][:] == plain.load(folder).query.inputs["input"][:]
    assert (sliding.window, sliding.stride, plain.stride) == (1024, 512, None)


def test_missing_files_and_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"train\.parquet \(or validation\.parquet\) and .*not found: .*validation.*, .*test\.parquet"
    ):
        WIKITEXT().load(tmp_path)
    write(tmp_path, "validation")
    with pytest.raises(DataError, match=r"not found: [^ ]*/wikitext/test\.parquet$"):
        WIKITEXT().load(tmp_path)
    write(tmp_path, "test", column="lines")
    with pytest.raises(DataError, match="'text', got lines"):
        WIKITEXT().load(tmp_path)


def test_the_hub_is_read_and_a_part_of_it_is_not_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = tuple(f"wikitext-103-raw-v1/{name}.parquet" for name in PARTS)
    monkeypatch.setattr(hub.HfApi, "repo_info", lambda *_, **__: None)

    def snapshot(*_: Any, allow_patterns: list[str], **__: Any) -> str:
        others = (
            "wikitext-2-raw-v1/train-00000-of-00001.parquet",
            "wikitext-103-raw-v1/validation-00000-of-00001.parquet",
        )
        wanted = [name for name in (*names, *others) if any(fnmatch(name, pattern) for pattern in allow_patterns)]
        assert wanted == list(names)
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    for name, split in zip(names[1:], ("validation", "test"), strict=True):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Dataset.from_dict({"text": ROWS[split]}).to_parquet(tmp_path / name)
    with pytest.raises(DataError, match=r"has 1 files of train .*, which is not all; .*--data DIR"):
        WIKITEXT().load(None)
    Dataset.from_dict({"text": ROWS["train"]}).to_parquet(tmp_path / names[0])
    task = WIKITEXT().load(None)
    assert len(task.support.labels) == 2
    assert task.revision == f"Salesforce/wikitext@{WIKITEXT.source.revision} (train)"


def test_topics_are_halved_and_none_is_in_both_pools() -> None:
    task = PYDOC().load(None)
    support, query = (set(pool.inputs["input"]) for pool in (task.support, task.query))
    assert not support & query
    assert abs(len(support) - len(query)) <= 1
    assert len(support) == len(task.support.labels)
    assert len(query) >= PYDOC.protocol.queries
    assert min(map(len, support | query)) >= MIN_CHARACTERS
    assert sum(map(len, support | query)) > 400_000
    again = PYDOC().load(None)
    assert again.revision == task.revision
    assert again.query.inputs["input"][:] == task.query.inputs["input"][:]


def test_short_and_repeated_topics_are_left_out() -> None:
    long = "word " * MIN_CHARACTERS
    assert topic_texts({"b": long, "a": f"{long} and more", "c": f"\n{long}\n", "d": "short"}) == [
        f"{long} and more",
        long.strip(),
    ]


@pytest.mark.skipif(not (SHARED / "wikitext").is_dir(), reason=f"no wikitext in {SHARED}")
def test_the_published_text_has_sixty_articles_a_split() -> None:
    task = WIKITEXT().load(SHARED)
    assert len(task.query.labels) == 60
    text = "".join(task.query.inputs["input"])
    assert "constant k filter" in text.lower()
    assert len(text.split()) == 241_211  # word tokens of the test split without ends of lines
