"""Methods on tasks as chats: all of them see the same turns, demonstrations as earlier ones."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.backbones.hf import CausalLM
from bench.contracts import Kind, ProblemShape
from bench.reports.rows import rows
from bench.runs.runner import Runner
from bench.spec.expand import expand
from bench.spec.suite import Block
from bench.testing.tiny_models import CHAT_TEMPLATE, save_model
from bench.toolkit.chat import END, Conversation, user_turn
from methods.faast import FaastOnHiddenStates
from methods.in_context import InContext
from methods.knn_lm import KnnLm
from methods.lora import Lora
from tests.helpers import language as texts
from tests.helpers.language import SAID, TURNS, WORDS, assistant, templated, user
from tests.helpers.tiny_tasks import tiny_runner

METHODS = ["zero_shot", "faast", "knn", "in_context", "faast@hidden_states", "knn_lm", "lora"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("chat"), "llama", context=512, chat_template=CHAT_TEMPLATE)


@pytest.fixture(scope="module")
def backbone(folder: Path) -> CausalLM:
    return CausalLM(folder)


def chat_setting(kind: Kind = Kind.TEXT_CLASSIFICATION) -> ProblemShape:
    return replace(texts.problem_shape(kind, n_way=2 if kind is Kind.TEXT_CLASSIFICATION else 1), separator=END)


def test_demonstrations_are_earlier_turns(backbone: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts: list[str] = []
    score = backbone.loglikelihood

    def remembered(context: str, *rest: Any) -> torch.Tensor:
        contexts.append(context)
        return score(context, *rest)

    monkeypatch.setattr(backbone, "loglikelihood", remembered)
    method = InContext(InContext.Config(), backbone, chat_setting())
    method.observe(texts.support(TURNS[:2], labels=[0, 1], names=SAID))
    method.solve()
    method.predict(texts.query(TURNS[2:], SAID))
    turns = Conversation.of(contexts[0] + TURNS[2])
    assert turns is not None
    pairs = [(user(f"Word: {word}\nSentiment:"), assistant(name)) for word, name in zip(WORDS[:2], SAID, strict=True)]
    assert turns.messages[:4] in ((*pairs[0], *pairs[1]), (*pairs[1], *pairs[0]))
    assert turns.messages[4:] == (user("Word: very good\nSentiment:"),)
    written = backbone.tokenizer.decode(backbone.prepare(contexts[0] + TURNS[2]))
    assert written.count("[system]so<s>") == 1


def test_demonstrations_are_dropped_only_where_the_conversation_does_not_fit(tmp_path: Path) -> None:
    longest = user_turn("Word: a longer one\nSentiment:")
    roomy = CausalLM(save_model(tmp_path / "roomy", "llama", context=512, chat_template=CHAT_TEMPLATE))
    demonstrations = [prompt + SAID[0] + END for prompt in TURNS[:4]]
    needed = roomy.count_tokens(["".join(demonstrations) + longest])[0] + max(roomy.count_tokens(SAID))
    for room, kept in ((needed, 4), (needed - 1, 3)):
        folder = save_model(tmp_path / str(room), "llama", context=room, chat_template=CHAT_TEMPLATE)
        method = InContext(InContext.Config(), CausalLM(folder), chat_setting())
        method.observe(texts.support(TURNS[:4], labels=[0] * 4, names=SAID))
        method.solve()
        method.predict(texts.query([longest], SAID))
        assert method.notes == {"demonstrations_kept": kept, "demonstrations_dropped": 4 - kept}


def test_methods_inside_learn_the_conversation(backbone: CausalLM) -> None:
    given = texts.support(TURNS[:2], labels=[0, 1], names=SAID)
    conversations = [
        templated(backbone, [user(f"Word: {word}\nSentiment:"), assistant(name)])
        for word, name in zip(WORDS[:2], SAID, strict=True)
    ]
    pairs = sum(len(ids) - 1 for ids in conversations)
    for cls, note in ((FaastOnHiddenStates, "support_tokens"), (KnnLm, "stored_tokens")):
        method = cls(cls.Config(), backbone, chat_setting())
        with torch.no_grad():
            method.observe(given)
            method.solve()
            assert method.notes[note] == pairs
            scores = method.predict(texts.query(TURNS, SAID))
        assert isinstance(scores, torch.Tensor)
        assert scores.isfinite().all()
    following = method.store.tokens.tolist()  # type: ignore[union-attr]
    assert sorted(following) == sorted(token for ids in conversations for token in ids[1:])


@pytest.mark.parametrize("kind", [Kind.TEXT_CLASSIFICATION, Kind.TEXT_GENERATION])
def test_adapters_learn_what_the_assistant_says(backbone: CausalLM, kind: Kind) -> None:
    ends = kind is Kind.TEXT_GENERATION
    given = texts.support(TURNS[:1], ["positive"] if ends else None, labels=[0], names=SAID)
    method = Lora(Lora.Config(), backbone, chat_setting(kind))
    messages = [user("Word: happy\nSentiment:")]
    whole = (
        templated(backbone, [*messages, assistant("positive")]) if ends else templated(backbone, messages, "positive")
    )
    start = len(templated(backbone, messages, ""))
    with torch.no_grad():
        steps = backbone.model(input_ids=torch.tensor([whole])).logits[0, start - 1 : -1]
        expected = torch.nn.functional.cross_entropy(steps, torch.tensor(whole[start:]))
        torch.testing.assert_close(method.loss(given), expected, rtol=1e-4, atol=1e-4)


@pytest.fixture
def runner(tmp_path: Path, cache: Path) -> Any:
    with tiny_runner(tmp_path) as made:
        yield made


@pytest.mark.slow
def test_all_kinds_of_methods_run_on_a_chat(runner: Runner, folder: Path) -> None:
    chosen = {"task": "tiny_words", "backbone": f"hf:{folder}", "shots": [1]}
    chat = {"prompt": "chat", "methods": METHODS, "set": {"lora": {"steps": 1}}}
    blocks = [Block.model_validate(chosen | more) for more in (chat, {"prompt": "plain", "methods": ["zero_shot"]})]
    report = runner.run([spec for block in blocks for spec in expand(block)])
    assert [record.reason for record in report.records if record.status != "ok"] + report.problems == []
    assert len({record.id for record in report.records}) == len(METHODS) + 1
    shown = rows(report.records)
    assert len(shown) == len(METHODS) + 1
    assert {row.task for row in shown} == {"tiny_words", "tiny_words [prompt=chat]"}


@pytest.mark.slow
def test_without_a_template_every_method_says_so(runner: Runner, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", "llama")
    block = {"task": "tiny_words", "prompt": "chat", "backbone": f"hf:{folder}", "methods": METHODS, "shots": [1]}
    report = runner.run(expand(Block.model_validate(block)))
    assert len(report.records) == len(METHODS)
    for record in report.records:
        assert record.status in ("skipped", "failed")
        assert "has no chat template, which the prompt style chat needs" in (record.reason or "")
