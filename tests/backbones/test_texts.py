"""Texts through a decoder: windows, scores and writing against plain passes of one text at a time."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.backbones import _texts
from bench.backbones._texts import by_length, windows
from bench.backbones.hf import CausalLM
from bench.contracts import DataError, UsageError
from bench.testing.language_backbone_contract import reads_of
from bench.testing.tiny_models import save_model
from tests.helpers.language import harness_loss

CONTEXT = 64
TEXTS = [
    "Word: happy\nSentiment: positive\n",
    "so",
    "very good, very bad: indeed " * 9,
    "x y z " * 40,
    "a much longer one",
]
PROMPTS = ["Word: happy\nSentiment:", "Word: x", "Word: a much longer one\nSentiment:", "indeed"]

lengths = st.integers(2, 200)
sizes = st.integers(2, 40)


@pytest.fixture(scope="module", params=["llama", "gpt2", "qwen2"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp(request.param), request.param, context=CONTEXT))


def ids_of(backbone: CausalLM, text: str) -> list[int]:
    ids: list[int] = backbone.tokenizer(text)["input_ids"]
    return ids


def losses(backbone: CausalLM, ids: list[int]) -> torch.Tensor:
    """Negative log-likelihood of every token but the first, from one plain pass."""
    with torch.no_grad():
        logits = backbone.model(input_ids=torch.tensor([ids])).logits[0].double()
    return -logits[:-1].log_softmax(dim=-1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]


def scored(count: int, size: int, stride: int | None) -> list[tuple[int, int]]:
    """Positions that are scored, each with the number of tokens before it in its window."""
    found = windows(3, range(count), size, stride)  # a token's id is its position
    assert all(window.text == 3 and len(window.ids) <= size for window in found)
    return [(token, before) for window in found for before, token in enumerate(window.ids) if before >= window.first]


@given(lengths, sizes)
def test_blocks_score_each_token_once_but_the_first_of_each(count: int, size: int) -> None:
    found = scored(count, size, None)
    assert [token for token, _ in found] == [token for token in range(count) if token % size]
    assert all(before == token % size for token, before in found)


@given(lengths, sizes, st.data())
def test_sliding_windows_score_every_token_but_the_first_once(count: int, size: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, size))
    found = scored(count, size, stride)
    assert [token for token, _ in found] == list(range(1, count))
    # What is not in the first window is read after the overlap, at least.
    overlap = size - min(stride, size - 1)
    assert all(before >= min(token, overlap) for token, before in found)


@pytest.mark.parametrize("stride", [0, -1, 9])
def test_strides_that_would_leave_tokens_out_are_refused(stride: int) -> None:
    with pytest.raises(ValueError, match=rf"a stride must lie in 1\.\.8.* got {stride}"):
        windows(0, range(20), 8, stride)


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(1, 100))
def test_batches_have_every_row_once_the_longest_first_and_fit(sizes: list[int], at_once: int) -> None:
    batches = list(by_length(sizes, at_once))
    order = [index for batch in batches for index in batch]
    assert sorted(order) == list(range(len(sizes)))
    assert [sizes[index] for index in order] == sorted(sizes, reverse=True)
    assert all(len(batch) == 1 or len(batch) * sizes[batch[0]] <= at_once for batch in batches)


@pytest.mark.slow
def test_scores_are_those_of_plain_passes(backbone: CausalLM) -> None:
    found = backbone.loglikelihood_rolling(TEXTS, 1024, None)
    assert found.shape == (len(TEXTS), 2)
    for row, text in zip(found, TEXTS, strict=True):
        ids = ids_of(backbone, text)
        blocks = [ids[start : start + CONTEXT] for start in range(0, len(ids), CONTEXT)]
        expected = sum(float(losses(backbone, block).sum()) for block in blocks if len(block) > 1)
        assert row[1] == sum(len(block) - 1 for block in blocks)
        assert float(row[0]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("window", [2, 7, 16])
def test_rolling_scores_are_those_of_lm_evaluation_harness(backbone: CausalLM, window: int) -> None:
    found = backbone.loglikelihood_rolling(TEXTS, window, "rolling")
    for row, text in zip(found, TEXTS, strict=True):
        total, count = harness_loss(backbone, text, window)
        # Every token is scored, the first one too.
        assert row[1] == count == len(backbone.tokenizer(text, add_special_tokens=False)["input_ids"])
        assert float(row[0]) == pytest.approx(total, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("window", "stride"), [(16, 4), (1024, 512)])
def test_sliding_scores_are_those_of_plain_passes(backbone: CausalLM, window: int, stride: int) -> None:
    found = backbone.loglikelihood_rolling(TEXTS, window, stride)
    size = min(window, CONTEXT)
    step = min(stride, size - 1)
    for row, text in zip(found, TEXTS, strict=True):
        ids = ids_of(backbone, text)
        expected, done, start = 0.0, 1, 0
        while done < len(ids):
            part = ids[start : start + size]
            expected += float(losses(backbone, part)[done - start - 1 :].sum())
            done, start = start + len(part), start + step
        assert row[1] == len(ids) - 1
        assert float(row[0]) == pytest.approx(expected, rel=1e-5)


def test_longer_texts_than_the_context_are_read_in_parts(backbone: CausalLM) -> None:
    count = len(ids_of(backbone, TEXTS[3]))
    assert count > CONTEXT
    assert int(backbone.loglikelihood_rolling([TEXTS[3]], 1024, None)[0, 1]) == count - -(-count // CONTEXT)
    assert int(backbone.loglikelihood_rolling([TEXTS[3]], 1024, 512)[0, 1]) == count - 1


def test_scores_do_not_depend_on_company_or_on_how_much_is_held_at_once(
    backbone: CausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = backbone.loglikelihood_rolling(TEXTS, 32, 8)
    monkeypatch.setattr(_texts, "LOGITS_ON_CPU", 1)
    monkeypatch.setattr(_texts, "POSITIONS_ON_CPU", 1)
    alone = torch.cat([backbone.loglikelihood_rolling([text], 32, 8) for text in TEXTS])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_texts_that_cannot_be_scored_are_named(backbone: CausalLM) -> None:
    with pytest.raises(DataError, match=r"a token or more of .* got ''"):
        backbone.loglikelihood_rolling([TEXTS[0], ""], 32, None)
    with pytest.raises(DataError, match="two tokens or more to be scored, got 'a'"):
        backbone.loglikelihood_rolling([TEXTS[0], "a"], 32, None)
    with pytest.raises(DataError, match="a token or more"):
        list(backbone.tokens([""]))


@pytest.mark.parametrize("window", [1, 0, -3])
def test_windows_in_which_nothing_can_be_scored_are_named_and_no_text_is_blamed(
    backbone: CausalLM, window: int
) -> None:
    with pytest.raises(UsageError, match=rf"a window must have 2 tokens or more .* got {window}$"):
        backbone.loglikelihood_rolling(TEXTS, window, None)
    assert int(backbone.loglikelihood_rolling([TEXTS[2]], 2, None)[0, 1]) == len(ids_of(backbone, TEXTS[2])) // 2


@pytest.mark.parametrize("window", [None, 10, 1000])
def test_tokens_are_all_there_in_rows_of_at_most_a_window(backbone: CausalLM, window: int | None) -> None:
    size = min(window or CONTEXT, CONTEXT)
    rows = []
    for batch in backbone.tokens(TEXTS, window):
        assert torch.equal(batch.mask, batch.mask.sort(dim=1, descending=True).values)  # padded on the right
        rows += [ids[mask.bool()].tolist() for ids, mask in zip(batch.ids, batch.mask, strict=True)]
    expected = []
    for text in TEXTS:
        ids = ids_of(backbone, text)
        expected += [ids[start : start + size] for start in range(0, len(ids), size)]
    assert sorted(rows) == sorted(expected)


@pytest.mark.slow
@pytest.mark.parametrize("max_new_tokens", [1, 12])
def test_prompts_are_continued_as_if_each_were_alone(backbone: CausalLM, max_new_tokens: int) -> None:
    assert len({len(ids_of(backbone, prompt)) for prompt in PROMPTS}) == len(PROMPTS)
    found = backbone.generate(PROMPTS, max_new_tokens)
    for prompt, text in zip(PROMPTS, found, strict=True):
        ids = torch.tensor([ids_of(backbone, prompt)])
        with torch.no_grad():
            (row,) = backbone.model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=max_new_tokens, num_beams=5,
                early_stopping=True, do_sample=False, pad_token_id=0,
            )  # fmt: skip
        whole = backbone.tokenizer.decode(row[ids.shape[1] :], skip_special_tokens=True)
        assert text == whole.strip("\n").split("\n")[0].strip()
    assert any(found)
    assert backbone.generate([], max_new_tokens) == []


def test_what_is_written_ends_at_the_first_newline(backbone: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    for written, expected in [(" Ein Hund.\nUnd mehr", "Ein Hund."), ("\n Ein Hund. \n", "Ein Hund."), ("\n", "")]:
        monkeypatch.setattr(type(backbone.tokenizer), "decode", lambda *_, written=written, **__: written)
        assert backbone.generate(PROMPTS[:1], 2) == [expected]


def test_prompts_that_leave_no_room_for_an_answer_are_named(backbone: CausalLM) -> None:
    with pytest.raises(DataError, match=rf"must fit {CONTEXT} tokens .*, {CONTEXT} of answer; shorten the text"):
        backbone.generate(PROMPTS[:1], CONTEXT)
    with pytest.raises(DataError, match="a token or more"):
        backbone.generate(["", PROMPTS[0]], 2)


def test_a_model_without_an_end_token_writes_too(tmp_path: Path) -> None:
    backbone = CausalLM(save_model(tmp_path, "llama"))
    backbone.model.generation_config.eos_token_id = None
    assert len(backbone.generate(PROMPTS, 3)) == len(PROMPTS)


def test_an_answer_ends_at_the_first_of_several_stop_strings(
    backbone: CausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "\n a\nb; c\n\nQ: d"
    monkeypatch.setattr(type(backbone.tokenizer), "decode", lambda *_, **__: said)
    for stop, expected in [((), "a\nb; c\n\nQ: d"), (("Q:", "\n\n"), "a\nb; c"), ((";",), "a\nb"), (("\n",), "a")]:
        for beams in (1, 2):
            assert backbone.generate(PROMPTS[:1], 2, stop, beams) == [expected]


@pytest.mark.slow
def test_one_beam_writes_no_further_than_its_stop_string(backbone: CausalLM) -> None:
    whole = backbone.generate(PROMPTS, 12, (), 1)
    stop = next(sign for text in whole for sign in text[1:-1] if not sign.isspace() and sign != "\ufffd")
    found = backbone.generate(PROMPTS, 12, (stop,), 1)
    assert found == [text.partition(stop)[0].strip() for text in whole]
    ended = next(prompt for prompt, text in zip(PROMPTS, whole, strict=True) if stop in text[1:-1])
    with reads_of(backbone.blocks[0]) as seen:
        backbone.generate([ended], 12, (stop,), 1)
    assert len(seen) < 12
