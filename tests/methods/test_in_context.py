"""In-context learning: order of demonstrations, dropped demonstrations, and calls of the model."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.backbones.hf import CausalLM
from bench.contracts import DataError, Kind, UsageError
from bench.testing.doubles import CosineBackbone, FakeLanguageModel
from bench.testing.driver import adapted
from bench.testing.items import columns
from bench.testing.problems import Problem, problem, prompts
from bench.testing.tiny_models import save_model
from methods.in_context import InContext, InContextConfig
from methods.zero_shot import ZeroShot, ZeroShotConfig
from tests.helpers import language as texts

SEPARATOR = "\n\n"


@pytest.fixture
def given() -> Problem:
    return problem(n_episodes=1, n_way=3, n_shot=4)


def demonstrations(given: Problem) -> list[str]:
    """Every support item as it should be written, in the order given."""
    answers = given.support.classes.names[0]
    stems = prompts(given.support.inputs.positions[0])
    return [text + answers[label] + SEPARATOR for text, label in zip(stems, given.support.labels[0], strict=True)]


def context(model: FakeLanguageModel) -> list[str]:
    """The demonstrations that the model last read."""
    return [text + SEPARATOR for text in model.contexts[-1].split(SEPARATOR)[:-1]]


def test_all_demonstrations_stand_before_each_query(given: Problem) -> None:
    model = FakeLanguageModel()
    method = adapted(InContext, given, model, items_at_once=5)
    scores = method.predict(given.query)
    assert sorted(context(model)) == sorted(demonstrations(given))
    assert method.notes == {"demonstrations_kept": 12, "demonstrations_dropped": 0}
    queries, answers = prompts(given.query.inputs.positions[0]), given.query.classes.names[0]
    assert torch.equal(scores[0], model.loglikelihood(model.contexts[0], queries, answers))


def test_classes_do_not_stand_in_blocks(given: Problem) -> None:
    blocks = replace(given, support=columns(given.support, given.support.labels[0].argsort()))
    model = FakeLanguageModel()
    adapted(InContext, blocks, model).predict(given.query)
    labels = [text.removesuffix(SEPARATOR)[-1] for text in context(model)]
    assert labels != sorted(labels)


def test_order_depends_on_the_seed_alone(given: Problem) -> None:
    models = [FakeLanguageModel() for _ in range(3)]
    other = replace(given, shape=replace(given.shape, seed=given.shape.seed + 1))
    for model, each in zip(models, (given, given, other), strict=True):
        adapted(InContext, each, model).predict(each.query)
    assert models[0].contexts == models[1].contexts
    assert models[0].contexts != models[2].contexts


@pytest.mark.parametrize("kept", [0, 1, 5, 11, 12])
def test_oldest_demonstrations_are_dropped_whole(given: Problem, kept: int) -> None:
    roomy = FakeLanguageModel()
    adapted(InContext, given, roomy).predict(given.query)
    everything = context(roomy)
    needed = max(map(len, prompts(given.query.inputs.positions[0]))) + len(" label0")
    fits = sum(map(len, everything[12 - kept :])) + needed
    for room in (fits, fits + 1):
        model = FakeLanguageModel(context_length=room)
        method = adapted(InContext, given, model)
        method.predict(given.query)
        assert context(model) == everything[12 - kept :]
        assert method.notes == {"demonstrations_kept": kept, "demonstrations_dropped": 12 - kept}


def test_an_instruction_stands_once_before_the_demonstrations_and_takes_room(given: Problem) -> None:
    said = "Name the kind.\n"
    protocol = replace(given.shape.protocol, instruction=said)
    instructed = replace(given, shape=replace(given.shape, protocol=protocol))
    plain, model = FakeLanguageModel(), FakeLanguageModel()
    adapted(InContext, given, plain).predict(given.query)
    adapted(InContext, instructed, model).predict(given.query)
    assert model.contexts == [said + plain.contexts[0]]
    room = len(plain.contexts[0]) + max(map(len, prompts(given.query.inputs.positions[0]))) + len(" label0")
    for more, kept in ((0, 12), (-1, 11)):
        method = adapted(InContext, instructed, FakeLanguageModel(context_length=room + len(said) + more))
        method.predict(given.query)
        assert method.notes["demonstrations_kept"] == kept


def test_notes_hold_the_fewest_over_query_batches(given: Problem) -> None:
    short = columns(given.query, slice(0, 5))
    wordy = replace(short, inputs=replace(short.inputs, fetch=lambda wanted: [text * 12 for text in prompts(wanted)]))
    model = FakeLanguageModel(context_length=500)
    method = adapted(InContext, given, model)
    method.predict(wordy)
    dropped = method.notes["demonstrations_dropped"]
    assert dropped > 0
    method.predict(short)
    assert method.notes == {"demonstrations_kept": 12 - dropped, "demonstrations_dropped": dropped}
    assert len(context(model)) == 12


def test_texts_that_count_more_together_still_fit(given: Problem) -> None:
    class Merging(FakeLanguageModel):
        def count_tokens(self, texts: Sequence[str]) -> list[int]:
            return [len(text) + len(text) // 40 for text in texts]

    model = Merging(context_length=300)
    method = adapted(InContext, given, model)
    method.predict(given.query)
    assert 0 < method.notes["demonstrations_kept"] < 12


def test_a_query_that_does_not_fit_is_an_error(given: Problem) -> None:
    method = adapted(InContext, given, FakeLanguageModel(context_length=10))
    with pytest.raises(DataError, match="10 tokens"):
        method.predict(given.query)


def test_state_is_the_text_that_can_be_kept(given: Problem) -> None:
    size = len("".join(demonstrations(given)).encode())
    assert adapted(InContext, given, FakeLanguageModel()).state_bytes() == size
    assert 0 < adapted(InContext, given, FakeLanguageModel(context_length=100)).state_bytes() <= 100


def test_padding_queries_score_0(given: Problem) -> None:
    mask = torch.arange(15)[None] < 9
    positions = given.query.inputs.positions.copy()
    positions[:, 9:] = -1
    query = replace(given.query, mask=mask, inputs=replace(given.query.inputs, positions=positions))
    method = adapted(InContext, given)
    scores = method.predict(query)
    torch.testing.assert_close(scores[:, :9], method.predict(given.query)[:, :9])
    assert not scores[:, 9:].any()


def test_needs_a_language_model(given: Problem) -> None:
    with pytest.raises(UsageError, match="CosineBackbone"):
        InContext(InContextConfig(), CosineBackbone(), given.shape)


SOURCES = ["Word: good\nIn German:", "Word: bad\nIn German:", "Word: very\nIn German:"]
TARGETS = [" gut", " schlecht", " sehr"]
LONGEST = 8
"""Tokens of a translation, at most."""


@pytest.fixture
def decoder(tmp_path: Path) -> CausalLM:
    return CausalLM(save_model(tmp_path, "llama", context=128))


def translator(decoder: CausalLM, shots: int) -> InContext:
    given = texts.problem_shape(Kind.TEXT_GENERATION, max_new_tokens=LONGEST)
    method = InContext(InContextConfig(), decoder, given)
    method.observe(texts.support(SOURCES[:shots], TARGETS[:shots]))
    method.solve()
    return method


@pytest.fixture
def requested(decoder: CausalLM, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], int]]:
    """Prompts and lengths of all calls of the decoder's generation."""
    found: list[tuple[list[str], int]] = []
    generate = decoder.generate

    def remembered(given: Sequence[str], max_new_tokens: int, *ending: Any) -> list[str]:
        found.append((list(given), max_new_tokens))
        return generate(given, max_new_tokens, *ending)

    monkeypatch.setattr(decoder, "generate", remembered)
    return found


def test_translations_follow_the_demonstrations(decoder: CausalLM, requested: list[tuple[list[str], int]]) -> None:
    queries = ["Word: happy\nIn German:", "Word: a longer one\nIn German:"]
    method = translator(decoder, 2)
    written = method.predict(texts.query(queries))
    ((given, longest),) = requested
    order = [source + target + "\n" for source, target in zip(SOURCES[:2], TARGETS[:2], strict=True)]
    contexts = ["".join(order), "".join(reversed(order))]
    assert [text.removesuffix(query) for text, query in zip(given, queries, strict=True)] in [[c, c] for c in contexts]
    assert longest == LONGEST
    assert written == decoder.generate(given, longest)
    assert method.notes == {"demonstrations_kept": 2, "demonstrations_dropped": 0}


def test_translation_leaves_room_for_the_answer(decoder: CausalLM, requested: list[tuple[list[str], int]]) -> None:
    def room(query: str) -> int:
        return 128 - LONGEST - decoder.count_tokens([query])[0]

    one = decoder.count_tokens([SOURCES[0] + TARGETS[0] + "\n"])[0]
    query = "x"
    while room(query + "x") >= one:
        query += "x"
    for text, kept in ((query, 1), (query + "xx", 0)):
        method = translator(decoder, 1)
        method.predict(texts.query([text]))
        assert method.notes == {"demonstrations_kept": kept, "demonstrations_dropped": 1 - kept}
    assert requested[0][0][0].endswith("\n" + query)
    assert requested[1][0] == [query + "xx"]
    with pytest.raises(DataError, match="128 tokens"):
        translator(decoder, 1).predict(texts.query(["x" * 125]))


def test_demonstrations_are_run_once_for_all_queries(decoder: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    given = texts.problem_shape(Kind.TEXT_CLASSIFICATION, n_way=2)
    method = InContext(InContextConfig(), decoder, given)
    method.observe(texts.support(texts.PROMPTS, labels=[0, 1], names=texts.NAMES))
    method.solve()
    lengths: list[int] = []
    run = decoder.model.base_model.forward

    def counted(**inputs: Any) -> Any:
        lengths.append(inputs["input_ids"].numel())
        return run(**inputs)

    monkeypatch.setattr(decoder.model.base_model, "forward", counted)
    queries = [f"Word: w{number}\nSentiment:" for number in range(40)]
    method.predict(texts.query(queries, texts.NAMES))
    context = decoder.count_tokens(method._given.texts)
    longest = max(decoder.count_tokens([query + name for query in queries for name in texts.NAMES]))
    assert sum(lengths) <= sum(context) + len(queries) * len(texts.NAMES) * longest
    assert lengths[0] >= sum(context)
    assert len(lengths) > 2


def labels_of(texts: Sequence[str], given: Problem) -> list[int]:
    return [given.support.classes.names[0].index(" " + text.removesuffix(SEPARATOR).split(" ")[-1]) for text in texts]


def test_demonstrations_stand_in_rounds_of_one_of_each_class() -> None:
    given = problem(n_episodes=1, n_way=3, n_shot=4)
    # Two of the twelve are padding, so that some classes have fewer.
    for uneven in (given, problem(n_episodes=1, n_way=3, n_shot=4, sizes=[10])):
        model = FakeLanguageModel()
        adapted(InContext, uneven, model).predict(uneven.query)
        order = labels_of(context(model), uneven)
        complete = min(order.count(label) for label in range(3))
        assert complete >= 2
        for end in range(len(order), len(order) - 3 * complete, -3):
            assert sorted(order[end - 3 : end]) == [0, 1, 2]
    shuffled = FakeLanguageModel()
    adapted(InContext, given, shuffled, order="shuffled").predict(given.query)
    assert sorted(labels_of(context(shuffled)[-3:], given)) != [0, 1, 2]


def probabilities(model: FakeLanguageModel, text: str, given: Problem, prompts_: Sequence[str]) -> torch.Tensor:
    return model.loglikelihood(text, prompts_, given.query.classes.names[0]).double().softmax(dim=-1)


def test_probabilities_of_several_orders_are_averaged_and_their_tokens_counted(given: Problem) -> None:
    model = FakeLanguageModel()
    method = adapted(InContext, given, model, orders=3)
    scores = method.predict(given.query)
    assert len(set(model.contexts)) == 3
    assert all(sorted(text.split(SEPARATOR)) == sorted(model.contexts[0].split(SEPARATOR)) for text in model.contexts)
    queries = prompts(given.query.inputs.positions[0])
    each = [probabilities(FakeLanguageModel(), text, given, queries) for text in model.contexts]
    torch.testing.assert_close(scores[0].double().exp(), torch.stack(each).mean(dim=0), rtol=1e-4, atol=1e-6)
    one = adapted(InContext, given, FakeLanguageModel())
    assert method.context_tokens() == 3 * one.context_tokens()
    assert method.state_bytes() == one.state_bytes()
    limited = replace(given, shape=replace(given.shape, limits=replace(given.shape.limits, tokens=300)))
    assert 200 < adapted(InContext, limited, FakeLanguageModel(), orders=3).context_tokens() <= 300


def with_content_free(given: Problem) -> Problem:
    return replace(given, shape=replace(given.shape, content_free=("Word: N/A\nLabel:", "Word: \nLabel:")))


def test_answers_are_divided_by_their_probability_without_content(given: Problem) -> None:
    given, model = with_content_free(given), FakeLanguageModel()
    scores = adapted(InContext, given, model, calibrate="content_free").predict(given.query)
    (text,) = set(model.contexts)
    free = probabilities(FakeLanguageModel(), text, given, given.shape.content_free).mean(dim=0)
    found = probabilities(FakeLanguageModel(), text, given, prompts(given.query.inputs.positions[0]))
    expected = found / free
    torch.testing.assert_close(
        scores[0].double().exp(), expected / expected.sum(dim=-1, keepdim=True), rtol=1e-4, atol=1e-6
    )


class Leaning(FakeLanguageModel):
    """Prefers some answers, whatever stands before them."""

    leaning = torch.zeros(3)

    def loglikelihood(self, context: str, prompts: Sequence[str], answers: Sequence[str]) -> torch.Tensor:
        return super().loglikelihood(context, prompts, answers) + self.leaning


@pytest.mark.parametrize("orders", [1, 2])
def test_calibrated_answers_do_not_depend_on_what_a_model_leans_to(given: Problem, orders: int) -> None:
    leaning = Leaning()
    leaning.leaning = torch.tensor([5.0, -3.0, 0.0])
    one = replace(given, shape=replace(given.shape, content_free=("Word: N/A\nLabel:",)))
    for calibrate in ("none", "content_free", "support"):
        expected, found = (
            adapted(InContext, one, model, orders=orders, calibrate=calibrate).predict(given.query)
            for model in (Leaning(), leaning)
        )
        if calibrate == "content_free":
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        # Over several prompts it is the mean of normalised probabilities that is divided by: nearly the same.
        if calibrate == "support":
            assert len(set(found.argmax(dim=-1).flatten().tolist())) > 1
        if calibrate == "none":
            assert (found.argmax(dim=-1) == 0).all()
            assert not (expected.argmax(dim=-1) == 0).all()


def test_support_prompts_are_scored_after_demonstrations_without_themselves(given: Problem) -> None:
    model = FakeLanguageModel()
    seen: list[tuple[str, tuple[str, ...]]] = []
    score = model.loglikelihood

    def watched(context: str, prompts: Sequence[str], answers: Sequence[str]) -> torch.Tensor:
        seen.append((context, tuple(prompts)))
        return score(context, prompts, answers)

    model.loglikelihood = watched  # type: ignore[method-assign]
    method = adapted(InContext, given, model, calibrate="support")
    stems = prompts(given.support.inputs.positions[0])
    assert sorted(prompt for _, each in seen for prompt in each) == sorted(stems)
    for text, each in seen:
        assert not any(prompt in text for prompt in each)
        assert len(each) + text.count(SEPARATOR) == 12
    plain = FakeLanguageModel()
    leaning = torch.cat([probabilities(plain, text, given, each) for text, each in seen]).mean(dim=0)
    found = probabilities(plain, "".join(method._given.texts[item] for item in method._orders[0]), given, stems[:1])
    query = replace(given.query, **{
        name: getattr(given.support, name)[:, :1] for name in ("keys", "prior", "mask")
    }, inputs=replace(given.support.inputs, positions=given.support.inputs.positions[:, :1]))  # fmt: skip
    expected = (found / leaning).log()[0]
    scores = method.predict(query)[0, 0].double()
    torch.testing.assert_close(scores - scores[0], expected - expected[0], rtol=1e-4, atol=1e-4)


def test_what_cannot_be_calibrated_is_an_error(given: Problem, decoder: CausalLM) -> None:
    with pytest.raises(UsageError, match="got one without; use calibrate=support"):
        adapted(InContext, given, FakeLanguageModel(), calibrate="content_free")
    with pytest.raises(UsageError, match="leave them out of text generation"):
        InContext(InContextConfig(orders=2), decoder, texts.problem_shape(Kind.TEXT_GENERATION, max_new_tokens=LONGEST))


@pytest.mark.parametrize("calibrate", ["content_free", "pmi"])
def test_zero_shot_answers_are_calibrated_alike(given: Problem, calibrate: str) -> None:
    given = with_content_free(given)
    given = replace(given, shape=replace(given.shape, kind=Kind.TEXT_CLASSIFICATION))
    free = given.shape.content_free if calibrate == "content_free" else ("\nLabel:",)
    model, queries = FakeLanguageModel(), prompts(given.query.inputs.positions[0])
    expected = probabilities(model, "", given, queries) / probabilities(model, "", given, free).mean(dim=0)
    method = adapted(ZeroShot, given, model, calibrate=calibrate)
    found = method.predict(given.query)
    torch.testing.assert_close(
        found[0].double().exp(), expected / expected.sum(dim=-1, keepdim=True), rtol=1e-4, atol=1e-6
    )
    assert torch.equal(method.predict(given.query), found)
    # With a single prompt to divide by, what a model leans to makes no difference at all.
    leaning = Leaning()
    leaning.leaning = torch.tensor([5.0, -3.0, 0.0])
    first = given.shape.content_free[: 2 if calibrate == "pmi" else 1]
    one = replace(given, shape=replace(given.shape, content_free=first))
    found, expected = (
        adapted(ZeroShot, one, each, calibrate=calibrate).predict(one.query) for each in (leaning, Leaning())
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_zero_shot_answers_that_cannot_be_calibrated_are_an_error(given: Problem) -> None:
    text = replace(given.shape, kind=Kind.TEXT_CLASSIFICATION)
    ends = replace(text, content_free=("Word: N/A", "Word: "))
    for shape, backbone, calibrate, reason in (
        (text, FakeLanguageModel(), "content_free", "needs a task with content-free prompts, got one without"),
        (ends, FakeLanguageModel(), "pmi", "pmi needs a prompt that goes on after the text, got one"),
        (given.shape, CosineBackbone(), "pmi", "needs text classification by a language model, got image_"),
    ):
        with pytest.raises(UsageError, match=reason):
            ZeroShot(ZeroShotConfig(calibrate=calibrate), backbone, shape)
