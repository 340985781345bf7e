"""Texts through a decoder: batches by length, windows with their negative log-likelihood, beam search."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from bench.contracts import Tokens
from bench.toolkit.ordering import length_order

POSITIONS_AT_ONCE = 8192
"""Positions of one batch, padding included."""
POSITIONS_ON_CPU = 1024
"""The same of a forward pass on the CPU, where more gain nothing: activations above 32 MiB get fresh pages from the
system in each layer, a quarter of the time of SmolLM2-135M."""
LOGITS_AT_ONCE, LOGITS_ON_CPU = 2**25, 2**23
"""Entries of the logits in memory at a time (128 and 32 MiB in float32): vocabularies are large."""


@dataclass(frozen=True)
class Window:
    """Consecutive tokens of a text.

    Attributes:
        text: Number of the text.
        ids: Token ids.
        first: Position of the first scored token, at least 1.
    """

    text: int
    ids: tuple[int, ...]
    first: int


def windows(text: int, ids: Sequence[int], size: int, stride: int | None) -> list[Window]:
    """Windows of a text in which each token but the first is scored once; see LanguageBackbone.loglikelihood_rolling.

    Args:
        text: Number of the text.
        ids: Token ids of the text.
        size: Tokens of a window.
        stride: Tokens from one window to the next; None for windows that do not overlap.

    Returns:
        The windows with a token to score.

    Raises:
        ValueError: If the stride is larger than the window, which would leave tokens out.
    """
    if stride is not None and not 0 < stride <= size:
        raise ValueError(f"a stride must lie in 1..{size}, the window's size; got {stride}")
    # With a stride, every token is scored: windows overlap by one token at least, as context of the next one.
    step = size if stride is None else max(1, min(stride, size - 1))
    found = []
    scored = 1
    for start in range(0, len(ids), step):
        part = tuple(ids[start : start + size])
        # Where windows do not overlap, the first token of each has no context.
        first = max(1, scored - start)
        if first < len(part):
            found.append(Window(text, part, first))
        scored = start + len(part)
        if scored >= len(ids):
            break
    return found


def rolling_windows(text: int, ids: Sequence[int], size: int, prefix: int) -> list[Window]:
    """Windows of a text in which every token is scored once, as lm-evaluation-harness's rolling windows with context 1.

    The first window scores ``size`` tokens, the first of them given the prefix; each further one the next ``size``,
    given the token before them. The last one begins so early that it is full too.

    Args:
        text: Number of the text.
        ids: Token ids of the text.
        size: Tokens that are scored in a window, at most, and read in it before the last.
        prefix: Token id that begins texts.

    Returns:
        The windows, each with a token more than ``size`` at most.
    """
    found = [Window(text, (prefix, *ids[:size]), 1)] if ids else []
    for done in range(size, len(ids), size):
        end = min(done + size, len(ids))
        found.append(Window(text, tuple(ids[end - size - 1 : end]), size + 1 - (end - done)))
    return found


def padded(rows: Sequence[Sequence[int]], device: torch.device, *, left: bool = False) -> Tokens:
    """Rows of token ids as one batch. The padding token is arbitrary, as the mask hides it.

    Args:
        rows: Token ids of each row.
        device: Device of the batch.
        left: Whether padding is on the left.

    Returns:
        The batch.
    """
    longest = max(len(row) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    for number, row in enumerate(rows):
        place = slice(longest - len(row), None) if left else slice(0, len(row))
        ids[number, place] = torch.tensor(list(row))
        mask[number, place] = 1
    return Tokens(ids.to(device), mask.to(device))


def positions_at_once(device: torch.device) -> int:
    """Positions of one batch of a forward pass.

    Args:
        device: Device of the model.

    Returns:
        Their largest number, padding included.
    """
    return POSITIONS_ON_CPU if device.type == "cpu" else POSITIONS_AT_ONCE


def by_length(lengths: Sequence[int], at_once: int = POSITIONS_AT_ONCE) -> Iterator[list[int]]:
    """Rows in batches of similar length, the longest first, so that a lack of memory shows at once.

    Args:
        lengths: Tokens of each row.
        at_once: Largest number of positions of a batch, padding included.

    Yields:
        Numbers of the rows of a batch.
    """
    order = length_order(lengths, longest_first=True)
    start = 0
    while start < len(order):
        count = max(1, at_once // max(1, lengths[order[start]]))
        yield order[start : start + count]
        start += count


@torch.no_grad()
def score_windows(
    run: Callable[..., Any], head: nn.Module, vocabulary: int, found: Sequence[Window], n_texts: int,
    device: torch.device,
) -> Tensor:  # fmt: skip
    """Negative log-likelihood of texts from their windows.

    Args:
        run: The model up to its last hidden states, with the arguments of transformers.
        head: The output layer.
        vocabulary: Number of tokens in the vocabulary.
        found: Windows of all texts.
        n_texts: Number of texts.
        device: Device of the model.

    Returns:
        ``[text, 2]``, float64 on the CPU: sum in nats and number of scored tokens.
    """
    sums = torch.zeros(n_texts, 2, dtype=torch.float64)
    for batch in by_length([len(window.ids) for window in found], positions_at_once(device)):
        rows = [found[index] for index in batch]
        tokens = padded([row.ids for row in rows], device)
        hidden = run(input_ids=tokens.ids, attention_mask=tokens.mask, use_cache=False).last_hidden_state
        parts = [
            _negative_log_likelihoods(head, vocabulary, states[row.first - 1 : size - 1], ids[row.first : size])
            for row, states, ids in zip(rows, hidden, tokens.ids, strict=True)
            for size in [len(row.ids)]
        ]
        # One copy, as each makes the program wait for the device.
        found_sums = iter(torch.cat(parts).tolist())
        for row, part in zip(rows, parts, strict=True):
            sums[row.text, 0] += sum(islice(found_sums, len(part)))
            sums[row.text, 1] += len(row.ids) - row.first
    return sums


def _negative_log_likelihoods(head: nn.Module, vocabulary: int, states: Tensor, targets: Tensor) -> Tensor:
    """Sums ``[part]`` over parts of a text, in float32; states are those of the tokens before the targets."""
    most = LOGITS_ON_CPU if states.device.type == "cpu" else LOGITS_AT_ONCE
    size = max(1, most // vocabulary)
    pairs = zip(torch.split(states, size), torch.split(targets, size), strict=True)
    return torch.stack(
        [nn.functional.cross_entropy(head(part).float(), labels, reduction="sum") for part, labels in pairs]
    )


def beam_search_config(model: Any, max_new_tokens: int, n_beams: int) -> GenerationConfig:
    """The protocol's generation settings; of a model's own, only its token ids for the end of a text.

    The search ends when there are as many ended continuations as beams (``early_stopping``), as published for IWSLT
    (arXiv 2605.04651).

    Args:
        model: Model of transformers.
        max_new_tokens: Largest number of tokens of a continuation.
        n_beams: Number of beams; 1 for the likeliest token at each step.

    Returns:
        The settings.
    """
    end = model.generation_config.eos_token_id
    filler = end[0] if isinstance(end, list) else end
    return GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=max_new_tokens,
        num_beams=n_beams,
        early_stopping=n_beams > 1,
        do_sample=False,
        eos_token_id=end,
        pad_token_id=0 if filler is None else filler,
    )


class _Stopped(StoppingCriteria):
    """Ends each text of a batch once it holds a stop string, which is enough where there is one beam."""

    def __init__(self, text_of: Callable[[Sequence[int]], str], start: int, stop: Sequence[str]) -> None:
        self._text_of, self._start, self._stop = text_of, start, stop

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Any:
        """Which rows are done, ``[row]``."""
        texts = [self._text_of(row) for row in input_ids[:, self._start :].tolist()]
        done = [written(text, self._stop) != written(text, ()) for text in texts]
        return torch.tensor(done, device=input_ids.device)


def written(text: str, stop: Sequence[str]) -> str:
    """An answer in a continuation.

    Args:
        text: The continuation.
        stop: Texts before the first of which the answer ends.

    Returns:
        The answer, without the line breaks before it.
    """
    text = text.lstrip("\n")
    ends = [place for each in stop if (place := text.find(each)) >= 0]
    return text[: min(ends, default=len(text))]


@torch.no_grad()
def generate(
    model: Any, decode: Callable[[Sequence[int]], str], rows: Sequence[Sequence[int]], max_new_tokens: int,
    stop: Sequence[str], beams: int,
) -> list[str]:  # fmt: skip
    """Continuations by beam search; line breaks at the beginning are skipped.

    Args:
        model: Model of transformers.
        decode: Function from token ids to their text without special tokens.
        rows: Token ids of each prompt.
        max_new_tokens: Largest number of tokens of a continuation.
        stop: Texts before the first of which a continuation ends.
        beams: Number of beams; with one, tokens after a stop string are not written at all.

    Returns:
        A text for each row.
    """
    texts = [""] * len(rows)
    settings = beam_search_config(model, max_new_tokens, beams)
    end = settings.eos_token_id
    ends = set(end) if isinstance(end, list) else {end}

    def text_of(ids: Sequence[int]) -> str:
        # After its end a row is padded up to the longest of its batch.
        return decode(list(takewhile(lambda token: token not in ends, ids)))

    for batch in by_length([beams * (len(row) + max_new_tokens) for row in rows]):
        # Padding is on the left, so that all rows are continued from their last token.
        tokens = padded([rows[index] for index in batch], model.device, left=True)
        start = tokens.ids.shape[1]
        criteria = [_Stopped(text_of, start, stop)] if beams == 1 and stop else []
        made = model.generate(
            input_ids=tokens.ids, attention_mask=tokens.mask, generation_config=settings,
            stopping_criteria=StoppingCriteriaList(criteria),
        )  # fmt: skip
        for index, row in zip(batch, made, strict=True):
            texts[index] = written(text_of(row[start:].tolist()), stop).strip()
    return texts
