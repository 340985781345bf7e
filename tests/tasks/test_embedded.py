import re
import sys

import numpy as np
import pytest
from PIL import Image

from bench import registry
from bench.contracts import DataError, TaskData
from bench.contracts.kinds import CLASSIFICATION
from bench.plugin import OWN
from tasks.digits import PLUGIN as DIGITS
from tasks.lexicon import PLUGIN as LEXICON
from tasks.lexicon import rated_words


@pytest.fixture(scope="module")
def digits() -> TaskData:
    return DIGITS().load(None)


@pytest.fixture(scope="module")
def lexicon() -> TaskData:
    return LEXICON().load(None)


def test_digits_are_split_in_halves_of_each_class(digits: TaskData) -> None:
    support, query = (np.bincount(pool.labels, minlength=10) for pool in (digits.support, digits.query))
    assert support.sum() + query.sum() == 1797
    assert set(support - query) <= {0, 1}
    assert query.min() >= DIGITS.protocol.queries


def test_digits_are_grey_images_over_the_full_range(digits: TaskData) -> None:
    images = digits.support.inputs[:50]["input"]
    assert all(isinstance(image, Image.Image) and image.mode == "L" and image.size == (8, 8) for image in images)
    pixels = np.stack([np.asarray(image) for image in images])
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_no_digit_is_in_both_pools(digits: TaskData) -> None:
    support, query = (
        {np.asarray(image).tobytes() for image in pool.inputs[:]["input"]} for pool in (digits.support, digits.query)
    )
    assert not support & query


@pytest.mark.slow
@pytest.mark.parametrize("task", [DIGITS, LEXICON])
def test_a_second_load_is_the_same(task: type) -> None:
    first, second = task().load(None), task().load(None)
    assert first.revision == second.revision
    assert first.support.labels.tolist() == second.support.labels.tolist()
    assert first.query.inputs[7] == second.query.inputs[7]


def test_every_task_says_how_large_its_data_are() -> None:
    own = [name for name, plugin in registry.find("tasks").items() if plugin.origin == OWN]
    assert [name for name in own if not registry.task_class(name).size] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "digits", "digits_split:0-4", "digits_split:5-9", "lexicon", "lexicon_swapped", "needle", "recall",
        "associative_retrieval",
        pytest.param("pydoc_text", marks=pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="other topics")),
    ],
)  # fmt: skip
def test_the_size_that_a_task_states_is_that_of_its_data(name: str) -> None:
    task = registry.make_task(name)
    data = task.load(None)
    stated = {int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", task.size)}
    assert {len(data.support.labels), len(data.query.labels)} <= stated
    assert task.kind not in CLASSIFICATION or len(data.classes) in stated


def test_no_word_is_in_both_pools_in_any_case(lexicon: TaskData) -> None:
    support, query = ({text.casefold() for text in pool.inputs["input"]} for pool in (lexicon.support, lexicon.query))
    assert len(support) + len(query) == 5547
    assert len(lexicon.support.labels) == len(support)
    assert not support & query


def test_words_are_labelled_by_the_sign_of_their_rating(lexicon: TaskData) -> None:
    labels = {}
    for pool in (lexicon.support, lexicon.query):
        labels |= dict(zip(pool.inputs["input"], pool.labels, strict=True))
    assert lexicon.classes == (" negative", " positive")
    assert labels["Word: happy\nSentiment:"] == 1
    assert labels["Word: awful\nSentiment:"] == 0


def test_rated_words_keeps_clear_words_once(tmp_path) -> None:
    lines = [
        "good\t1.9\t0.9\t[]",
        "GOOD\t-2\t1\t[]",
        "ok\t2.0\t1\t[]",
        ":-)\t3\t1\t[]",
        "meh\t-0.3\t1\t[]",
        "bad\t-1.0\t1\t[]",
    ]
    (tmp_path / "lexicon.txt").write_text("\n".join(lines))
    assert rated_words(tmp_path / "lexicon.txt") == {"good": 1.9, "bad": -1.0}
    (tmp_path / "lexicon.txt").write_text("good\t1.9\nno rating here\n")
    with pytest.raises(DataError, match="line 2"):
        rated_words(tmp_path / "lexicon.txt")
