from pathlib import Path

import datasets
import pytest

from bench.contracts import DataError
from tasks._banking77_intents import INTENTS
from tasks.banking77 import PLUGIN
from tests.helpers.text_rows import prompts, write_rows


def write(data: Path, split: str, texts: list[str], labels: list[object], label: object = None) -> None:
    write_rows(data / "banking77" / f"{split}.parquet", texts, labels, label=label)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    names = datasets.ClassLabel(names=list(INTENTS))
    write(tmp_path, "train", ["Where is my card?", "My top up failed\nwhy"], [11, 59], names)
    write(tmp_path, "test", ["Refund please"], [52], names)
    return tmp_path


def test_there_are_77_intents_in_the_order_of_the_data() -> None:
    assert len(set(INTENTS)) == 77
    assert list(INTENTS) == sorted(INTENTS, key=str.lower)


def test_the_answer_is_the_intent_with_spaces(data: Path) -> None:
    task = PLUGIN().load(data)
    assert prompts(task) == (
        ["Query: Where is my card?\nIntent:", "Query: My top up failed\nwhy\nIntent:"],
        ["Query: Refund please\nIntent:"],
    )
    assert [task.classes[label] for label in task.support.labels] == [" card arrival", " top up failed"]
    assert [task.classes[label] for label in task.query.labels] == [" request refund"]
    assert " Refund not showing up" in task.classes
    assert len(set(task.classes)) == 77
    assert not any("_" in answer for answer in task.classes)


def test_intents_are_known_by_name(data: Path) -> None:
    write(data, "test", ["a", "b"], ["age_limit", "reverted_card_payment?"], datasets.Value("string"))
    assert PLUGIN().load(data).query.labels.tolist() == [1, 53]
    write(data, "test", ["a", "b"], ["age_limit", "age limit"], datasets.Value("string"))
    with pytest.raises(
        DataError, match=r"0\.\.76 or their names \(activate_my_card, .*, \.\.\.\); .* with 'age limit'"
    ):
        PLUGIN().load(data)
