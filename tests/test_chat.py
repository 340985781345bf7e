"""Tasks as chats: marks in texts, what the backbone makes of them, and that all methods see the same turns."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from rich.console import Console

from bench import planning, plugins
from bench.backbones.hf import CausalLM
from bench.backbones.smollm2_135m import PLUGIN as SMOLLM2
from bench.contracts import DataError, Kind, MethodConfig, Pool, Protocol, Setting, Task, TaskData, UsageError
from bench.contracts.chat import ASSISTANT, END, SYSTEM, USER, ChatTask, Conversation, asked
from bench.devices import DeviceOptions, quiet_lightning
from bench.progress import RichReporter
from bench.records import Store
from bench.runner import Runner
from bench.spec import Block
from methods.faast_lm import FaastLm
from methods.in_context import InContext
from methods.knn_lm import KnnLm
from methods.lora import Lora
from tasks.digits import Digits
from tasks.iwslt2017_en_de_chat import PLUGIN as IWSLT_CHAT
from tasks.lexicon import PLUGIN as LEXICON
from tasks.lexicon_chat import PLUGIN as LEXICON_CHAT
from tasks.pydoc_text import PydocText
from tasks.text_folder import PLUGIN as TEXT_FOLDER
from tasks.text_folder_chat import PLUGIN as TEXT_FOLDER_CHAT
from tests import texts
from tests.tiny_models import CHAT_TEMPLATE, save_model

WORDS = ["happy", "awful", "very good", "very bad", "indeed", "so good"]
PROMPTS = [asked(f"Word: {word}\nSentiment:") for word in WORDS]
NAMES = ("positive", "negative")
ENTRY_POINTS = """[bench.tasks]
tiny_words = tests.test_chat:TinyWords
tiny_words_chat = tests.test_chat:TinyWordsChat
"""


class TinyWords(Task):
    """Two words of each class support, one of each is asked; answers are one token after a prompt and in a turn."""

    kind = Kind.TEXT_CLASSIFICATION
    protocol = Protocol(n_episodes=1, n_query=1)
    citation = "made by this test"

    def load(self, data: Path | None) -> TaskData:
        prompts = [f"Word: {word}\nSentiment:" for word in WORDS]
        support, query = (
            Pool(Dataset.from_dict({"input": prompts[part]}), np.arange(len(prompts[part])) % 2)
            for part in (slice(4), slice(4, None))
        )
        return TaskData(support, query, ("s", "a"), "1")


class TinyWordsChat(ChatTask, TinyWords):
    """The same as turns."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("chat"), "llama", context=512, chat_template=CHAT_TEMPLATE)


@pytest.fixture(scope="module")
def backbone(folder: Path) -> CausalLM:
    return CausalLM(folder)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp("plain"), "llama"))


def user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def assistant(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


def reference(backbone: CausalLM, messages: list[dict[str, str]], answer: str | None = None) -> list[int]:
    """Tokens as transformers makes them: of whole turns, or of turns that the answer begins to follow."""
    begun = answer is not None
    made = backbone.tokenizer.apply_chat_template(messages, add_generation_prompt=begun, return_dict=True)
    ids: list[int] = made["input_ids"]
    return ids + backbone.tokenizer(answer or "", add_special_tokens=False)["input_ids"]


def chat_setting(kind: Kind = Kind.TEXT_CLASSIFICATION) -> Setting:
    return replace(texts.setting(kind, n_way=2 if kind is Kind.TEXT_CLASSIFICATION else 1), separator=END)


def test_marks_make_turns() -> None:
    assert Conversation.of("Word: happy") is None
    assert Conversation.of("") is None
    assert Conversation.of(asked("a")) == Conversation((user("a"),), "")
    assert Conversation.of(asked("a") + "b") == Conversation((user("a"),), "b")
    assert Conversation.of(asked("a") + "b" + END) == Conversation((user("a"), assistant("b")), None)


def test_joined_texts_are_one_conversation_with_one_system_message() -> None:
    text = asked("a", "be brief") + "b" + END + asked("c", "be brief")
    system = {"role": "system", "content": "be brief"}
    assert Conversation.of(text) == Conversation((system, user("a"), assistant("b"), user("c")), "")


@pytest.mark.parametrize(
    "text",
    ["x" + asked("a"), asked("a") + END + "b", asked("a") + asked("b"), USER + "a", ASSISTANT + "a", END, SYSTEM + "a"],
)
def test_marks_that_make_no_conversation_are_refused(text: str) -> None:
    with pytest.raises(DataError, match="turns of user and assistant one after another"):
        Conversation.of(text)


@pytest.mark.parametrize("mark", [SYSTEM, USER, ASSISTANT, END])
def test_a_text_with_marks_of_its_own_is_refused(mark: str) -> None:
    with pytest.raises(DataError, match="must not hold U\\+FDD0"):
        asked(f"a{mark}b")


def test_a_chat_is_the_plain_task_in_turns() -> None:
    before, chat = LEXICON().load(None), LEXICON_CHAT().load(None)
    assert chat.query.inputs["input"][:] == [asked(prompt) for prompt in before.query.inputs["input"]]
    assert chat.support.labels.tolist() == before.support.labels.tolist()
    assert chat.classes == ("negative", "positive")
    assert chat.revision != before.revision
    assert (LEXICON_CHAT.separator, LEXICON_CHAT.kind) == (END, Kind.TEXT_CLASSIFICATION)
    assert LEXICON_CHAT.protocol == LEXICON.protocol


def test_translations_have_the_published_system_message(tmp_path: Path) -> None:
    (tmp_path / "iwslt2017-en-de").mkdir()
    for split, word in (("train", "dog"), ("test", "cat")):
        rows = {"translation": [{"en": f"A {word}.", "de": f"Ein {word}."}]}
        Dataset.from_dict(rows).to_parquet(tmp_path / "iwslt2017-en-de" / f"{split}.parquet")
    data = IWSLT_CHAT().load(tmp_path)
    turns = Conversation.of(data.query.inputs[0]["input"])
    assert turns is not None
    assert turns.messages[0] == {"role": "system", "content": "You are a helpful assistant."}
    asked_for = "Please translate English text into German.\n\nEnglish: A cat.\nGerman:"
    assert (turns.messages[1:], turns.answer) == ((user(asked_for),), "")
    assert data.support.targets == ["Ein dog."]


def test_own_texts_can_be_a_chat(tmp_path: Path) -> None:
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        for number in range(2):
            (tmp_path / name / f"{number}.txt").write_text(f"{name} {number}")
    before, chat = (task().load(tmp_path) for task in (TEXT_FOLDER, TEXT_FOLDER_CHAT))
    assert chat.classes == ("bad", "good")
    assert chat.support.inputs["input"][:] == [asked(prompt) for prompt in before.support.inputs["input"]]


@pytest.mark.parametrize("task", [Digits, PydocText])
def test_images_and_texts_to_model_are_no_chat(task: type[Task]) -> None:
    with pytest.raises(TypeError, match="must be a task of text_classification or translation to be a chat, got"):
        type("Broken", (ChatTask, task), {})


def test_tokens_are_those_of_the_template(backbone: CausalLM) -> None:
    for number, word in enumerate(WORDS):
        messages = [user(f"Word: {word}\nSentiment:")]
        assert backbone.prepare(PROMPTS[number]) == reference(backbone, messages, "")
        (whole,) = backbone.tokens([PROMPTS[number] + "positive" + END])
        assert whole.ids[0].tolist() == reference(backbone, [*messages, assistant("positive")])
    assert backbone.count_tokens(PROMPTS) == [len(backbone.prepare(prompt)) for prompt in PROMPTS]


def test_a_tokenizers_own_opening_is_not_put_before_that_of_the_template(
    backbone: CausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    call = type(backbone.tokenizer).__call__

    def remembered(self: Any, *args: Any, **options: Any) -> Any:
        given.append(options["add_special_tokens"])
        return call(self, *args, **options)

    monkeypatch.setattr(type(backbone.tokenizer), "__call__", remembered)
    backbone.count_tokens([PROMPTS[0], "Word: happy"])
    assert given == [False, True]


@pytest.mark.parametrize("context", ["", PROMPTS[2] + "positive" + END])
def test_answers_are_scored_as_what_the_assistant_says(backbone: CausalLM, context: str) -> None:
    found = backbone.score_answers(context, PROMPTS[:2], NAMES)
    earlier = [user("Word: very good\nSentiment:"), assistant("positive")] if context else []
    for row, word in zip(found, WORDS[:2], strict=True):
        messages = [*earlier, user(f"Word: {word}\nSentiment:")]
        start = len(reference(backbone, messages, ""))
        for score, name in zip(row, NAMES, strict=True):
            ids = torch.tensor([reference(backbone, messages, name)])
            with torch.no_grad():
                steps = backbone.model(input_ids=ids).logits[0].log_softmax(dim=-1)
            expected = steps[start - 1 : -1].gather(1, ids[0, start:, None]).sum()
            torch.testing.assert_close(score, expected, rtol=1e-4, atol=1e-4)


def test_a_classs_token_is_the_one_in_the_assistants_turn(backbone: CausalLM) -> None:
    values = backbone.class_values(["s", "a"], TinyWordsChat.prompts)
    tokens = [backbone.tokenizer(name)["input_ids"] for name in "sa"]
    assert torch.equal(values, backbone.model.get_output_embeddings().weight[torch.tensor(tokens)[:, 0]])


def test_demonstrations_are_earlier_turns(backbone: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts: list[str] = []
    score = backbone.score_answers

    def remembered(context: str, *rest: Any) -> torch.Tensor:
        contexts.append(context)
        return score(context, *rest)

    monkeypatch.setattr(backbone, "score_answers", remembered)
    method = InContext(MethodConfig(), backbone, chat_setting())
    method.observe(texts.support(PROMPTS[:2], labels=[0, 1], names=NAMES))
    method.solve()
    method.predict(texts.query(PROMPTS[2:], NAMES))
    turns = Conversation.of(contexts[0] + PROMPTS[2])
    assert turns is not None
    pairs = [(user(f"Word: {word}\nSentiment:"), assistant(name)) for word, name in zip(WORDS[:2], NAMES, strict=True)]
    assert turns.messages[:4] in ((*pairs[0], *pairs[1]), (*pairs[1], *pairs[0]))
    assert turns.messages[4:] == (user("Word: very good\nSentiment:"),)
    written = backbone.tokenizer.decode(backbone.prepare(contexts[0] + PROMPTS[2]))
    assert written.count("[system]so<s>") == 1


def test_demonstrations_are_dropped_only_where_the_conversation_does_not_fit(tmp_path: Path) -> None:
    longest = asked("Word: a longer one\nSentiment:")
    roomy = CausalLM(save_model(tmp_path / "roomy", "llama", context=512, chat_template=CHAT_TEMPLATE))
    demonstrations = [prompt + NAMES[0] + END for prompt in PROMPTS[:4]]
    needed = roomy.count_tokens(["".join(demonstrations) + longest])[0] + max(roomy.count_tokens(NAMES))
    for room, kept in ((needed, 4), (needed - 1, 3)):
        folder = save_model(tmp_path / str(room), "llama", context=room, chat_template=CHAT_TEMPLATE)
        method = InContext(MethodConfig(), CausalLM(folder), chat_setting())
        method.observe(texts.support(PROMPTS[:4], labels=[0] * 4, names=NAMES))
        method.solve()
        method.predict(texts.query([longest], NAMES))
        assert method.notes == {"demonstrations_kept": kept, "demonstrations_dropped": 4 - kept}


def test_methods_inside_learn_the_conversation(backbone: CausalLM) -> None:
    given = texts.support(PROMPTS[:2], labels=[0, 1], names=NAMES)
    conversations = [
        reference(backbone, [user(f"Word: {word}\nSentiment:"), assistant(name)])
        for word, name in zip(WORDS[:2], NAMES, strict=True)
    ]
    pairs = sum(len(ids) - 1 for ids in conversations)
    for cls, note in ((FaastLm, "support_tokens"), (KnnLm, "stored_tokens")):
        method = cls(cls.Config(), backbone, chat_setting())
        with torch.no_grad():
            method.observe(given)
            method.solve()
            assert method.notes[note] == pairs
            scores = method.predict(texts.query(PROMPTS, NAMES))
        assert isinstance(scores, torch.Tensor)
        assert scores.isfinite().all()
    following = method.store.tokens.tolist()  # type: ignore[union-attr]
    assert sorted(following) == sorted(token for ids in conversations for token in ids[1:])


@pytest.mark.parametrize("kind", [Kind.TEXT_CLASSIFICATION, Kind.TRANSLATION])
def test_adapters_learn_what_the_assistant_says(backbone: CausalLM, kind: Kind) -> None:
    ends = kind is Kind.TRANSLATION
    given = texts.support(PROMPTS[:1], ["positive"] if ends else None, labels=[0], names=NAMES)
    method = Lora(Lora.Config(), backbone, chat_setting(kind))
    messages = [user("Word: happy\nSentiment:")]
    whole = (
        reference(backbone, [*messages, assistant("positive")]) if ends else reference(backbone, messages, "positive")
    )
    start = len(reference(backbone, messages, ""))
    with torch.no_grad():
        steps = backbone.model(input_ids=torch.tensor([whole])).logits[0, start - 1 : -1]
        expected = torch.nn.functional.cross_entropy(steps, torch.tensor(whole[start:]))
        torch.testing.assert_close(method.loss(given), expected, rtol=1e-4, atol=1e-4)


def test_a_model_without_a_template_is_named(plain: CausalLM) -> None:
    wanted = "has no chat template, which this task needs; use a model tuned for chats"
    for ask in (
        lambda: plain.prepare(PROMPTS[0]),
        lambda: plain.class_values(NAMES, TinyWordsChat.prompts),
        lambda: plain.score_answers("", PROMPTS[:1], NAMES),
        lambda: plain.write(PROMPTS[:1], 2),
        lambda: list(plain.tokens(PROMPTS[:1])),
    ):
        with pytest.raises(UsageError, match=wanted) as caught:
            ask()
        assert "\n" not in str(caught.value)


def test_a_template_that_refuses_the_turns_is_named(tmp_path: Path) -> None:
    template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system\nmessage') }}{% endif %}x"
    backbone = CausalLM(save_model(tmp_path, "llama", chat_template=template))
    assert backbone.prepare(asked("a"))
    with pytest.raises(UsageError, match="does not take this task's turns: no system message"):
        backbone.prepare(asked("a", "be brief"))


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Any:
    """A runner that knows the tasks of this file, as if a package had brought them."""
    site = tmp_path / "site" / "tiny_chats-1.0.dist-info"
    site.mkdir(parents=True)
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-chats\nVersion: 1.0\n")
    (site / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(site.parent))
    plugins.find.cache_clear()
    quiet_lightning()
    yield Runner(Store(tmp_path / "store"), DeviceOptions(accelerator="cpu"), RichReporter(Console(quiet=True)))
    shutil.rmtree(site)
    plugins.find.cache_clear()


METHODS = ["zero_shot", "faast", "knn", "in_context", "faast_lm", "knn_lm", "lora"]


def test_all_kinds_of_methods_run_on_a_chat(runner: Runner, folder: Path) -> None:
    chosen = {"backbone": f"hf:{folder}", "methods": METHODS, "shots": [1], "set": {"lora": {"steps": 1}}}
    plain_block, chat_block = (
        Block.model_validate({"task": task, **chosen}) for task in ("tiny_words", "tiny_words_chat")
    )
    report = runner.run([*planning.expand(plain_block), *planning.expand(chat_block)])
    assert [record.reason for record in report.records if record.status != "ok"] + report.problems == []
    assert len({record.id for record in report.records}) == 2 * len(METHODS)


def test_without_a_template_every_method_says_so(runner: Runner, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", "llama")
    block = {"task": "tiny_words_chat", "backbone": f"hf:{folder}", "methods": METHODS, "shots": [1]}
    report = runner.run(planning.expand(Block.model_validate(block)))
    assert len(report.records) == len(METHODS)
    for record in report.records:
        assert record.status in ("skipped", "failed")
        assert "has no chat template, which this task needs" in (record.reason or "")


def test_smollm2_answers_as_an_assistant() -> None:
    backbone = SMOLLM2()
    data = LEXICON_CHAT().load(None)
    prompts = data.query.inputs[list(range(0, len(data.query.labels), 46))]["input"]
    ids = backbone.prepare(prompts[0])
    said = prompts[0].removeprefix(USER).removesuffix(ASSISTANT)
    assert ids == reference(backbone, [user(said)], "")
    written = backbone.tokenizer.decode(ids)
    assert written.startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
    assert written.endswith(f"<|im_end|>\n<|im_start|>user\n{said}<|im_end|>\n<|im_start|>assistant\n")
    scores = backbone.score_answers("", prompts[:2], data.classes)
    logits = backbone.model(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(dim=-1)
    tokens = [backbone.tokenizer(name)["input_ids"] for name in data.classes]
    torch.testing.assert_close(scores[0], logits[[token for (token,) in tokens]], rtol=1e-4, atol=1e-4)
    assert torch.equal(
        backbone.class_values(data.classes, LEXICON_CHAT.prompts),
        backbone.model.get_output_embeddings().weight[[token for (token,) in tokens]],
    )
