"""LongICLBench: what its prompts hold, which labels there are, and texts that are no such prompts."""

import re
from pathlib import Path

import pytest
from datasets import Dataset

from bench import registry
from bench.contracts import DataError, Kind, TaskData
from bench.toolkit.chat import Conversation
from tasks._longicl import PARTS, parsed
from tests.helpers.longicl_rows import LABELS, QUERIES, ROUNDS, item, labels, rows, write


def load(name: str, folder: Path) -> TaskData:
    return registry.make_task(name).load(write(folder, name.partition(":")[2]))


@pytest.mark.parametrize("name", PARTS)
def test_demonstrations_and_queries_are_parsed_out_of_the_prompts(name: str, tmp_path: Path) -> None:
    task = registry.make_task(f"longicl:{name}")
    data = task.load(write(tmp_path, name))
    assert data.notes == () or "labels lack demonstrations or queries" in data.notes[0]
    assert len(data.support.inputs) == ROUNDS * LABELS
    assert len(data.query.inputs) == QUERIES * LABELS
    prompts, targets = data.support.inputs["input"][:], data.support.targets
    assert targets is not None
    # An instruction, demonstrations and a query in a row are the published prompt again.
    shown = "".join(prompt + target + task.separator for prompt, target in zip(prompts, map(str, targets), strict=True))
    query = data.query.inputs[0]["input"]
    published = rows(name)[0][f"{ROUNDS} Round Prompt"]
    assert (task.instruction + shown + query).rstrip() == published.rstrip()
    expected = [item(name, 1000 + place, labels(name)[place % LABELS])[1] for place in range(QUERIES * LABELS)]
    assert [str(target).strip() for target in data.query.targets or ()] == expected


@pytest.mark.parametrize(("name", "count"), [("goemotion", 28), ("banking77", 77), ("tacred", 41), ("discovery", 174)])
def test_shots_are_rounds_of_the_labels(name: str, count: int, tmp_path: Path) -> None:
    part = PARTS[name]
    assert len(set(part.labels)) == count
    written, chosen = load(f"longicl:{name}", tmp_path), load(f"longicl_choice:{name}", tmp_path)
    assert written.classes == tuple(labels(name))
    assert chosen.classes == tuple(f" {label}" for label in labels(name))
    for data in (written, chosen):
        assert data.support.labels.tolist() == [*range(LABELS)] * ROUNDS
        assert data.query.labels.tolist() == [*range(LABELS)] * QUERIES
    assert chosen.query.targets is None
    assert list(chosen.query.inputs["input"]) == list(written.query.inputs["input"])
    assert chosen.revision != written.revision
    assert written.notes == (
        f"{count - LABELS} of {count} labels lack demonstrations or queries and are left out: "
        f"{', '.join(part.labels[LABELS : LABELS + 5])}, ...",
    )


def test_each_data_set_has_its_published_metric_and_answer_set() -> None:
    metrics = {name: registry.metric_of(registry.make_task(f"longicl:{name}")).name for name in PARTS}
    assert metrics == {
        "goemotion": "exact_match", "banking77": "exact_match", "tacred": "label_f1", "discovery": "exact_words",
        "fewnerd": "entity_f1", "dialogre": "position_f1",
    }  # fmt: skip
    task = registry.make_task("longicl:dialogre")
    assert (task.kind, task.beams, task.max_new_tokens) == (Kind.TEXT_GENERATION, 1, 100)
    assert len(task.answer_set) == 34


def test_as_a_chat_the_instruction_is_the_system_message(tmp_path: Path) -> None:
    task = registry.make_task("longicl:goemotion", "chat")
    turns = Conversation.of(task.load(write(tmp_path, "goemotion")).query.inputs[0]["input"])
    assert turns is not None
    assert task.instruction == ""
    assert turns.messages[0] == {"role": "system", "content": PARTS["goemotion"].instruction.strip()}


def test_another_instruction_is_noted_and_a_label_outside_the_set_is_an_error(tmp_path: Path) -> None:
    made = rows("goemotion").map(lambda row: {name: text.replace("Given a", "Given one") for name, text in row.items()})
    path = write(tmp_path, "goemotion") / "longicl" / "GoEmotion.parquet"
    made.to_parquet(path)
    task = registry.make_task("longicl:goemotion")
    note = task.load(tmp_path).notes[0]
    assert note.startswith("the prompts of GoEmotion begin with another instruction, 'Given one")
    made.map(lambda row: {"label": row["label"].upper()}).to_parquet(path)
    with pytest.raises(DataError, match="from its 28 labels, got 6 others, such as 'ADMIRATION'"):
        task.load(tmp_path)
    Dataset.from_dict({"prompt": ["x"]}).to_parquet(path)
    with pytest.raises(DataError, match="longicl GoEmotion needs the columns '1 Round Prompt' and '5 Round Prompt'"):
        task.load(tmp_path)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("comment: x\nemotion category: joy\n", "got 1 of them in 33 of 33 characters"),
        ("so\ncomment: x\nemotion category: ", "got 1 of them in 29 of 32 characters"),
        ("nothing", "got 0 of them in 0 of 7 characters, the last one 'nothing'"),
    ],
)
def test_texts_of_another_form_are_named(body: str, reason: str) -> None:
    with pytest.raises(DataError, match=re.escape(reason)):
        parsed(PARTS["goemotion"], body)
