"""Tasks as chats: marks in texts, and what the backbone makes of them."""

from pathlib import Path

import pytest
import torch
from datasets import Dataset

from bench.backbones.hf import CausalLM
from bench.backbones.smollm2_135m import SmolLM2
from bench.contracts import DataError, Kind, UsageError
from bench.registry import make_task
from bench.spec.expand import expand
from bench.spec.suite import Block
from bench.testing.tiny_models import CHAT_TEMPLATE, save_model
from bench.toolkit.chat import ASSISTANT, END, SYSTEM, USER, Conversation, user_turn
from bench.toolkit.files import text_hash
from tests.helpers.language import SAID, TURNS, WORDS, assistant, templated, user

LEXICON_CHAT = make_task("lexicon", "chat")


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    folder = tmp_path_factory.mktemp("chat")
    return CausalLM(save_model(folder, "llama", context=512, chat_template=CHAT_TEMPLATE))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp("plain"), "llama"))


def test_marks_make_turns() -> None:
    assert Conversation.of("Word: happy") is None
    assert Conversation.of("") is None
    assert Conversation.of(user_turn("a")) == Conversation((user("a"),), "")
    assert Conversation.of(user_turn("a") + "b") == Conversation((user("a"),), "b")
    assert Conversation.of(user_turn("a") + "b" + END) == Conversation((user("a"), assistant("b")), None)


def test_joined_texts_are_one_conversation_with_one_system_message() -> None:
    text = user_turn("a", "be brief") + "b" + END + user_turn("c", "be brief")
    system = {"role": "system", "content": "be brief"}
    assert Conversation.of(text) == Conversation((system, user("a"), assistant("b"), user("c")), "")


@pytest.mark.parametrize(
    "text",
    [
        *("x" + user_turn("a"), user_turn("a") + END + "b", user_turn("a") + user_turn("b")),
        *(USER + "a", ASSISTANT + "a", END, SYSTEM + "a"),
    ],
)
def test_marks_that_make_no_conversation_are_refused(text: str) -> None:
    with pytest.raises(DataError, match="turns of user and assistant one after another"):
        Conversation.of(text)


@pytest.mark.parametrize("mark", [SYSTEM, USER, ASSISTANT, END])
def test_a_text_with_marks_of_its_own_is_refused(mark: str) -> None:
    with pytest.raises(DataError, match="must not hold U\\+FDD0"):
        user_turn(f"a{mark}b")


def test_a_chat_is_the_plain_task_in_turns() -> None:
    plain_task = make_task("lexicon")
    before, chat = plain_task.load(None), LEXICON_CHAT.load(None)
    assert chat.query.inputs["input"][:] == [user_turn(prompt) for prompt in before.query.inputs["input"]]
    assert chat.support.labels.tolist() == before.support.labels.tolist()
    assert chat.classes == ("negative", "positive")
    assert chat.revision != before.revision
    assert (LEXICON_CHAT.separator, LEXICON_CHAT.kind) == (END, Kind.TEXT_CLASSIFICATION)
    for name in ("protocol", "citation", "prior_strength", "max_new_tokens", "window"):
        assert getattr(LEXICON_CHAT, name) == getattr(plain_task, name)


def test_prompts_are_those_of_the_first_editions_task_lexicon_chat() -> None:
    data = LEXICON_CHAT.load(None)
    prompts = (*data.support.inputs["input"], *data.query.inputs["input"])
    found = text_hash(*prompts, *data.classes, *LEXICON_CHAT.prompts, LEXICON_CHAT.separator)
    assert found == "5421f61a6cea7b4a28dd9f675f6387e59ee4385e51857b1f81ca672d92647677"


def test_translations_have_the_published_system_message(tmp_path: Path) -> None:
    (tmp_path / "iwslt2017-en-de").mkdir()
    for split, word in (("train", "dog"), ("test", "cat")):
        rows = {"translation": [{"en": f"A {word}.", "de": f"Ein {word}."}]}
        Dataset.from_dict(rows).to_parquet(tmp_path / "iwslt2017-en-de" / f"{split}.parquet")
    data = make_task("iwslt2017:en-de", "chat").load(tmp_path)
    turns = Conversation.of(data.query.inputs[0]["input"])
    assert turns is not None
    assert turns.messages[0] == {"role": "system", "content": "You are a helpful assistant."}
    prompt = "Please translate English text into German.\n\nEnglish: A cat.\nGerman:"
    assert (turns.messages[1:], turns.answer) == ((user(prompt),), "")
    assert data.support.targets == ["Ein dog."]


def test_own_texts_can_be_a_chat(tmp_path: Path) -> None:
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        for number in range(2):
            (tmp_path / name / f"{number}.txt").write_text(f"{name} {number}")
    before, chat = (make_task("text_folder", prompt).load(tmp_path) for prompt in ("plain", "chat"))
    assert chat.classes == ("bad", "good")
    assert chat.support.inputs["input"][:] == [user_turn(prompt) for prompt in before.support.inputs["input"]]


@pytest.mark.parametrize("task", ["digits", "pydoc_text"])
def test_images_and_texts_to_model_are_no_chat(task: str) -> None:
    with pytest.raises(UsageError, match=f"needs a task of text_classification or text_generation; {task} is "):
        expand(Block(task=task, prompt="chat", methods=["zero_shot"]))


def test_tokens_are_those_of_the_template(backbone: CausalLM) -> None:
    for number, word in enumerate(WORDS):
        messages = [user(f"Word: {word}\nSentiment:")]
        assert backbone.prepare(TURNS[number]) == templated(backbone, messages, "")
        (whole,) = backbone.tokens([TURNS[number] + "positive" + END])
        assert whole.ids[0].tolist() == templated(backbone, [*messages, assistant("positive")])
    assert backbone.count_tokens(TURNS) == [len(backbone.prepare(prompt)) for prompt in TURNS]


def test_a_tokenizers_own_opening_is_not_put_before_that_of_the_template(
    backbone: CausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backbone._tokens, "opening", [7])
    assert backbone.prepare("Word: happy")[0] == 7
    assert 7 not in backbone.prepare(TURNS[0])


@pytest.mark.parametrize("context", ["", TURNS[2] + "positive" + END])
def test_answers_are_scored_as_what_the_assistant_says(backbone: CausalLM, context: str) -> None:
    found = backbone.loglikelihood(context, TURNS[:2], SAID)
    earlier = [user("Word: very good\nSentiment:"), assistant("positive")] if context else []
    for row, word in zip(found, WORDS[:2], strict=True):
        messages = [*earlier, user(f"Word: {word}\nSentiment:")]
        start = len(templated(backbone, messages, ""))
        for score, name in zip(row, SAID, strict=True):
            ids = torch.tensor([templated(backbone, messages, name)])
            with torch.no_grad():
                steps = backbone.model(input_ids=ids).logits[0].log_softmax(dim=-1)
            expected = steps[start - 1 : -1].gather(1, ids[0, start:, None]).sum()
            torch.testing.assert_close(score, expected, rtol=1e-4, atol=1e-4)


def test_a_classs_token_is_the_one_in_the_assistants_turn(backbone: CausalLM) -> None:
    values = backbone.class_embeddings(["s", "a"], LEXICON_CHAT.prompts)
    tokens = [backbone.tokenizer(name)["input_ids"] for name in "sa"]
    assert torch.equal(values, backbone.model.get_output_embeddings().weight[torch.tensor(tokens)[:, 0]])


def test_a_model_without_a_template_is_named(plain: CausalLM) -> None:
    wanted = "has no chat template, which the prompt style chat needs; use a model tuned for chats or --prompt plain"
    for ask in (
        lambda: plain.prepare(TURNS[0]),
        lambda: plain.class_embeddings(SAID, LEXICON_CHAT.prompts),
        lambda: plain.loglikelihood("", TURNS[:1], SAID),
        lambda: plain.generate(TURNS[:1], 2),
        lambda: list(plain.tokens(TURNS[:1])),
    ):
        with pytest.raises(UsageError, match=wanted) as caught:
            ask()
        assert "\n" not in str(caught.value)


def test_a_template_that_refuses_the_turns_is_named(tmp_path: Path) -> None:
    template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system\nmessage') }}{% endif %}x"
    backbone = CausalLM(save_model(tmp_path, "llama", chat_template=template))
    assert backbone.prepare(user_turn("a"))
    with pytest.raises(UsageError, match="does not take this task's turns: no system message"):
        backbone.prepare(user_turn("a", "be brief"))


@pytest.mark.slow
def test_smollm2_answers_as_an_assistant(smollm2: SmolLM2) -> None:
    backbone = smollm2
    data = LEXICON_CHAT.load(None)
    prompts = data.query.inputs[list(range(0, len(data.query.labels), 46))]["input"]
    ids = backbone.prepare(prompts[0])
    said = prompts[0].removeprefix(USER).removesuffix(ASSISTANT)
    assert ids == templated(backbone, [user(said)], "")
    written = backbone.tokenizer.decode(ids)
    assert written.startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
    assert written.endswith(f"<|im_end|>\n<|im_start|>user\n{said}<|im_end|>\n<|im_start|>assistant\n")
    scores = backbone.loglikelihood("", prompts[:2], data.classes)
    logits = backbone.model(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(dim=-1)
    tokens = [backbone.tokenizer(name)["input_ids"] for name in data.classes]
    torch.testing.assert_close(scores[0], logits[[token for (token,) in tokens]], rtol=1e-4, atol=1e-4)
    assert torch.equal(
        backbone.class_embeddings(data.classes, LEXICON_CHAT.prompts),
        backbone.model.get_output_embeddings().weight[[token for (token,) in tokens]],
    )
