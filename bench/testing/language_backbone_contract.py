"""Contract suite of language models: their scores against plain forward passes of one text at a time."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from bench.contracts import DataError, LanguageBackbone
from bench.testing.backbone_contract import BackboneContract

CONTEXT = 48
"""Context length in the suite, so that long texts stay short."""
RTOL, ATOL = 1e-4, 1e-3
"""Float32 rounding of summed log-probabilities."""


class LanguageBackboneContract(BackboneContract):
    """Tests that every language model passes, those of every backbone included; see BackboneContract.

    Further fixtures to override:
        answers: Continuations with tokens that follow those of a prompt, some with a common beginning.
        long_text: A text of more than 100 tokens.
    """

    @pytest.fixture
    def answers(self) -> tuple[str, ...]:
        """Answers of one token or more."""
        return (" positive", " very good", " very good indeed")

    @pytest.fixture
    def long_text(self) -> str:
        """A text longer than the suite's context length."""
        return "very good, very bad: indeed " * 25

    @pytest.fixture
    def short(self, backbone: LanguageBackbone) -> LanguageBackbone:
        """The model with a context of at most ``CONTEXT`` tokens."""
        kept = copy.copy(backbone)
        kept.reserved = max(0, backbone.max_positions - CONTEXT)
        return kept

    def test_its_parts_fit_together(self, backbone: LanguageBackbone, inputs: Sequence[str]) -> None:
        tokens = next(iter(backbone.tokens(inputs[:1])))
        assert backbone.embed(tokens.ids).shape == (*tokens.ids.shape, backbone.width)
        assert isinstance(backbone.final_norm, nn.Module)
        assert 0 < backbone.context_length <= backbone.max_positions
        with reads_of(backbone.blocks[0]) as seen, torch.no_grad():
            backbone.causal_lm(input_ids=tokens.ids, attention_mask=tokens.mask)
        assert [tensor.shape for tensor in seen] == [(*tokens.ids.shape, backbone.width)]

    def test_tokens_are_counted_and_padded_on_the_right(
        self, backbone: LanguageBackbone, inputs: Sequence[str]
    ) -> None:
        batches = list(backbone.tokens(inputs))
        assert all(torch.equal(batch.mask, batch.mask.sort(dim=1, descending=True).values) for batch in batches)
        counts = [int(row.sum()) for batch in batches for row in batch.mask]
        assert sorted(counts) == sorted(backbone.count_tokens(inputs))

    def test_windows_of_tokens_hold_the_whole_text(self, short: LanguageBackbone, long_text: str) -> None:
        rows = [row.sum() for batch in short.tokens([long_text], window=10) for row in batch.mask]
        assert max(rows) <= 10
        assert sum(rows) == short.count_tokens([long_text])[0]

    @pytest.mark.parametrize("context", ["", "Word: good\nSentiment: positive\n"])
    def test_answers_are_scored_as_plain_passes_score_them(
        self, backbone: LanguageBackbone, inputs: Sequence[str], answers: tuple[str, ...], context: str
    ) -> None:
        found = backbone.loglikelihood(context, inputs, answers)
        assert found.shape == (len(inputs), len(answers))
        for row, prompt in zip(found, inputs, strict=True):
            stem = ids_of(backbone, context + prompt)
            for score, answer in zip(row, answers, strict=True):
                ids = ids_of(backbone, context + prompt + answer)
                assert ids[: len(stem)] == stem, "override the fixture answers with some that leave the prompt's tokens"
                expected = -losses(backbone, ids)[len(stem) - 1 :].sum()
                torch.testing.assert_close(score.double().cpu(), expected, rtol=RTOL, atol=ATOL)

    @pytest.mark.parametrize(("window", "stride"), [(1024, None), (16, None), (16, 4), (1024, 16)])
    def test_texts_are_scored_as_plain_passes_score_them(
        self, short: LanguageBackbone, inputs: Sequence[str], long_text: str, window: int, stride: int | None
    ) -> None:
        texts = [*inputs, long_text]
        found = short.loglikelihood_rolling(texts, window, stride)
        assert found.shape == (len(texts), 2)
        size = min(window, short.context_length)
        for row, text in zip(found, texts, strict=True):
            total, count = rolling(short, ids_of(short, text), size, stride)
            assert row[1] == count
            assert float(row[0]) == pytest.approx(total, rel=RTOL, abs=ATOL)

    def test_scores_and_generation_go_through_the_blocks(
        self, backbone: LanguageBackbone, inputs: Sequence[str], answers: tuple[str, ...]
    ) -> None:
        """A memory that is hooked into a block must take part in every use of the model."""
        calls = (
            lambda: backbone.loglikelihood("", inputs, answers),
            lambda: backbone.loglikelihood_rolling(inputs, 16, None),
            lambda: backbone.generate(inputs, 2),
        )
        for call in calls:
            with (
                reads_of(backbone.blocks[0]) as first,
                reads_of(backbone.blocks[-1]) as last,
                reads_of(backbone.final_norm) as normed,
            ):
                call()
            assert first
            assert last
            assert normed

    def test_generation_is_one_line_for_each_prompt(self, backbone: LanguageBackbone, inputs: Sequence[str]) -> None:
        texts = backbone.generate(inputs, 8)
        assert len(texts) == len(inputs)
        assert all(text == text.strip() and "\n" not in text for text in texts)
        assert backbone.generate([], 8) == []

    def test_a_prompt_is_continued_as_if_it_were_alone(self, backbone: LanguageBackbone, inputs: Sequence[str]) -> None:
        """And alike each time."""
        assert [text for prompt in inputs for text in backbone.generate([prompt], 4)] == backbone.generate(inputs, 4)

    def test_generation_stops_after_the_tokens_it_may_write(
        self, backbone: LanguageBackbone, inputs: Sequence[str]
    ) -> None:
        with reads_of(backbone.blocks[0]) as seen:
            backbone.generate(inputs[:1], 3)
        assert 1 <= len(seen) <= 3

    def test_texts_longer_than_the_context_are_errors_or_read_in_parts(
        self, short: LanguageBackbone, inputs: Sequence[str], answers: tuple[str, ...], long_text: str
    ) -> None:
        length = short.count_tokens([long_text])[0]
        assert length > 2 * short.context_length, "override the fixture long_text with a longer one"
        with reads_of(short.blocks[0]) as seen:
            short.loglikelihood_rolling([long_text], length, None)
        assert max(tensor.shape[1] for tensor in seen) <= short.context_length
        for call in (
            lambda: short.prepare(long_text),
            lambda: short.loglikelihood(long_text, inputs, answers),
            lambda: short.generate([long_text], 2),
            lambda: short.generate(inputs, short.context_length),
        ):
            with pytest.raises(DataError):
                call()

    def test_an_empty_text_is_an_error_of_the_data(self, backbone: LanguageBackbone) -> None:
        with pytest.raises(DataError):
            list(backbone.tokens([""]))
        with pytest.raises(DataError):
            backbone.loglikelihood_rolling([""], 16, None)


def ids_of(backbone: LanguageBackbone, text: str) -> list[int]:
    """The tokens of one text.

    Args:
        backbone: The model.
        text: The text.

    Returns:
        Token ids.
    """
    rows = [ids[mask.bool()] for batch in backbone.tokens([text]) for ids, mask in zip(batch.ids, batch.mask)]  # noqa: B905
    return [int(token) for row in rows for token in row]


@torch.no_grad()
def losses(backbone: LanguageBackbone, ids: Sequence[int]) -> Tensor:
    """Negative log-likelihood of every token but the first, from one forward pass.

    Args:
        backbone: The model.
        ids: Token ids of the text.

    Returns:
        ``[token]`` in nats, float64.
    """
    device = next(backbone.parameters()).device
    tokens = torch.tensor([list(ids)], device=device)
    logits = backbone.causal_lm(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits[0].double().cpu()
    found: Tensor = -logits[:-1].log_softmax(dim=-1).gather(1, tokens[0, 1:, None].cpu())[:, 0]
    return found


def rolling(backbone: LanguageBackbone, ids: Sequence[int], size: int, stride: int | None) -> tuple[float, int]:
    """Summed negative log-likelihood and number of scored tokens of a text, window by window.

    Args:
        backbone: The model.
        ids: Token ids of the text.
        size: Tokens of a window.
        stride: Tokens from one window to the next; None for windows that do not overlap.

    Returns:
        The sum in nats and the number.
    """
    step = size if stride is None else min(stride, size - 1)
    total, count, done = 0.0, 0, 1
    for start in range(0, len(ids), step):
        part = ids[start : start + size]
        first = max(done, start + 1)
        if first < start + len(part):
            scored = losses(backbone, part)[first - start - 1 :]
            total, count, done = total + float(scored.sum()), count + len(scored), start + len(part)
    return total, count


@contextmanager
def reads_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """Context that collects the hidden states that a module receives.

    Args:
        module: The module.

    Yields:
        The list of tensors, which grows with each call.
    """
    seen: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    try:
        yield seen
    finally:
        handle.remove()
