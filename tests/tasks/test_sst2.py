import re
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from bench.contracts import DataError, Kind
from tasks.sst2 import PLUGIN
from tests.helpers.places import SHARED
from tests.helpers.text_rows import prompts, write_rows

NAMES = datasets.ClassLabel(names=["negative", "positive"])


def write(data: Path, split: str, texts: list[Any], labels: list[Any], label: Any = NAMES) -> None:
    write_rows(data / "sst2" / f"{split}.parquet", texts, labels, text="sentence", label=label)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write(tmp_path, "train", ["a dull film ", "a fine film"], [0, 1])
    write(tmp_path, "validation", ["so good", "so bad", "so {text}"], [1, 0, 0])
    return tmp_path


def test_prompts_are_as_published(data: Path) -> None:
    task = PLUGIN().load(data)
    assert prompts(task)[0] == ["Review: a dull film \nSentiment:", "Review: a fine film\nSentiment:"]
    assert prompts(task)[1][2] == "Review: so {text}\nSentiment:"
    assert task.support.labels.tolist() == [0, 1]
    assert task.query.labels.tolist() == [1, 0, 0]
    assert task.classes == (" negative", " positive")
    assert (PLUGIN.kind, PLUGIN.prompts, PLUGIN.separator) == (Kind.TEXT_CLASSIFICATION, ("{label}",), "\n")


def test_support_and_query_are_cut_after_a_hundred_words(data: Path) -> None:
    write(data, "train", ["w " * 150, "v"], [0, 1])
    write(data, "validation", ["v " * 101, "a  b"], [0, 1])
    for pool in prompts(PLUGIN().load(data)):
        assert max(len(prompt.split()) for prompt in pool) == 102
    # Spaces are the text's own.
    assert prompts(PLUGIN().load(data))[1][1] == "Review: a  b\nSentiment:"
    assert prompts(PLUGIN().load(data))[0][0] == "Review: " + " ".join("w" * 100) + "\nSentiment:"


@pytest.mark.parametrize(
    ("feature", "labels"),
    [
        (datasets.ClassLabel(names=["positive", "negative"]), [1, 0, 1]),
        (datasets.Value("string"), ["negative", "positive", "negative"]),
        (datasets.Value("int8"), [0, 1, 0]),
    ],
)
def test_labels_are_known_by_name_in_any_order_and_by_number(data: Path, feature: Any, labels: Any) -> None:
    write(data, "train", ["bad", "good", "worse"], labels, feature)
    assert PLUGIN().load(data).support.labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("feature", "labels", "came"),
    [
        (NAMES, [0, -1, 1], "1 rows have others, the first is row 1 with -1"),
        (datasets.Value("int64"), [0, 1, 2], "1 rows have others, the first is row 2 with 2"),
        (datasets.Value("int64"), [0, None, None], "2 rows have others, the first is row 1 with None"),
        (datasets.Value("string"), ["pos", "neg", "positive"], "2 rows have others, the first is row 0 with 'pos'"),
        (
            datasets.ClassLabel(names=["bad", "positive"]),
            [1, 0, 0],
            "2 rows have others, the first is row 1 with 'bad'",
        ),
    ],
)
def test_other_labels_are_counted_and_the_first_is_named(data: Path, feature: Any, labels: Any, came: str) -> None:
    write(data, "train", ["a", "b", "c"], labels, feature)
    wanted = "sst2 train needs labels in 0..1 or their names (negative, positive); "
    with pytest.raises(DataError, match=re.escape(wanted + came)):
        PLUGIN().load(data)


@pytest.mark.parametrize("empty", ["", " \n", None])
def test_an_empty_text_is_counted_and_named(data: Path, empty: str | None) -> None:
    write(data, "validation", ["good", empty, empty], [1, 0, 1])
    with pytest.raises(DataError, match=r"sst2 validation needs a text in every row; 2 rows have none, .* row 1 with"):
        PLUGIN().load(data)


def test_queries_are_not_in_the_support_pool(data: Path) -> None:
    alike = "w " * 100
    write(data, "train", ["so good", "fine", alike + "one end", "so bad "], [1, 1, 0, 0])
    write(data, "validation", ["so good", "so bad", alike + "another end"], [1, 0, 0])
    support, query = prompts(PLUGIN().load(data))
    assert support == ["Review: fine\nSentiment:"]
    assert len(query) == 3
    assert PLUGIN().load(data).support.labels.tolist() == [1]


def test_revision_follows_the_bytes_and_tells_the_prompt(data: Path) -> None:
    before = PLUGIN().load(data).revision
    assert PLUGIN().load(data).revision == before
    assert before.endswith("; 'Review: {text}\\nSentiment:', words: 100")
    write(data, "train", ["a dull film", "a fine film"], [0, 1])
    assert PLUGIN().load(data).revision != before


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "sst2").is_dir(), reason=f"no sst2 in {SHARED}")
def test_the_published_sentences_are_read() -> None:
    task = PLUGIN().load(SHARED)
    support, query = prompts(task)
    assert np.bincount(task.query.labels).tolist() == [428, 444]
    assert len(support) >= 6920  # the hub has phrases, many more
    assert not set(support) & set(query)
    assert query[0] == "Review: one long string of cliches\nSentiment:"
    assert task.query.labels[0] == 0
