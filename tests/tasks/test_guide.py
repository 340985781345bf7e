"""The example of docs/add-a-task.md as a plugin: the contract suite, its variant and its chat."""

import re
from pathlib import Path

import pytest

from bench import registry
from bench.contracts import Task
from bench.plugin import Plugin
from bench.testing.task_contract import TaskContract
from bench.toolkit.chat import Conversation
from tests.helpers.places import ROOT


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plugin:
    """The example as an importable module, installed under the name that the guide uses."""
    guide = (ROOT / "docs" / "add-a-task.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    (tmp_path / "guide_example.py").write_text(example, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Plugin("my_words", "guide_example", "PLUGIN", "the guide")
    monkeypatch.setattr("bench.registry.finding.find", lambda group: {"my_words": made})
    return made


class TestExample(TaskContract):
    @pytest.fixture(params=["my_words", "my_words:letters"])
    def task(self, request: pytest.FixtureRequest) -> Task:
        return registry.make_task(request.param)


def test_the_variant_has_its_own_names_and_prior(plugin: Plugin) -> None:
    assert registry.task_variants() == ["my_words:letters"]
    plain, letters = registry.make_task("my_words"), registry.make_task("my_words:letters")
    assert (plain.load(None).classes, plain.prior_strength) == ((" sea", " mountains"), None)
    assert (letters.load(None).classes, letters.prior_strength) == ((" A", " B"), 0)


def test_its_prompts_can_be_a_chat() -> None:
    data = registry.make_task("my_words:letters", "chat").load(None)
    turns = Conversation.of(data.query.inputs[0]["input"])
    assert turns is not None
    assert turns.messages[0] == {"role": "system", "content": "You sort phrases by topic."}
    assert turns.messages[1]["content"].startswith("Phrase: ")
    assert data.classes == ("A", "B")
