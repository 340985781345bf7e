"""Log-probabilities of answers after prompts with a common context, which is run once."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.backbones._branches import CACHE_TOKENS, Tokens, rows_of, score_branches, work
from bench.backbones._packing import packed_batches, packs, run_packed
from bench.contracts import DataError
from bench.toolkit.environment import variable

MAX_BATCH = 32
FEW_ROWS = 4
"""Sequences of a prompt up to which each is run as a whole."""
PASS_ON_CPU, PASS = 8, 256
"""Tokens that take about as long as starting a forward pass, on the CPU and on an accelerator."""


@dataclass(frozen=True)
class Row:
    """One sequence to run: all but the last token of prompt and answer.

    Answers of a prompt share a row where one's sequence begins with the other's, as for all answers of one token:
    hidden states do not depend on the tokens that follow.

    Attributes:
        prompt: Number of the prompt.
        tokens: Token ids.
    """

    prompt: int
    tokens: Tokens


@dataclass(frozen=True)
class Reading:
    """Position of an answer's logits: those of ``targets[i]`` are at position ``start - 1 + i`` of ``row``.

    Attributes:
        row: The sequence.
        start: Position of the first target.
        targets: Token ids of the answer.
    """

    row: Row
    start: int
    targets: Tokens


def keys_in_place(device: torch.device) -> AbstractContextManager[None]:
    """Context in which attention on the CPU reads keys and values that several heads share where they are.

    Where there is a mask, transformers copies them for each head, which takes longer than attention itself after a
    long context. Torch's kernel for the CPU needs no copies and gives the same numbers; on a GPU the quick kernels
    need them.

    Args:
        device: Device of the model.

    Returns:
        The context.
    """
    return variable("TRANSFORMERS_SDPA_FORCE_GQA", "1") if device.type == "cpu" else nullcontext()


def common_prefix(rows: Sequence[Tokens]) -> int:
    """Length of the longest common prefix.

    Args:
        rows: Token ids of each sequence.

    Returns:
        Number of tokens.
    """
    # All rows between the least and the greatest in dictionary order have the prefix that these two share.
    low, high = min(rows), max(rows)
    for index, (one, other) in enumerate(zip(low, high, strict=False)):
        if one != other:
            return index
    return min(len(low), len(high))


def plan(prompts: Sequence[Tokens], joined: Sequence[Sequence[Tokens]]) -> list[list[Reading]]:
    """Positions of all answers' logits.

    Where joining changes the prompt's own last tokens, the answers are compared from the first token on that is not
    common to all.

    Args:
        prompts: Tokens of each ``context + prompt``.
        joined: ``[prompt][answer]``, tokens of each ``context + prompt + answer``.

    Returns:
        ``[prompt][answer]`` readings.

    Raises:
        DataError: If no token is left before the answers, or none of an answer.
    """
    readings = []
    for number, (prompt, answers) in enumerate(zip(prompts, joined, strict=True)):
        start = common_prefix([prompt, *answers])
        shortest = min(len(tokens) for tokens in answers)
        if start == 0 or start >= shortest:
            raise DataError(
                "answers can be scored after a prompt of one token or more, and need one or more of their own; "
                f"got {start} tokens of prompt and {shortest - start} of the shortest answer"
            )
        rows = _whole([tokens[:-1] for tokens in answers])
        readings.append(
            [Reading(Row(number, row), start, tokens[start:]) for row, tokens in zip(rows, answers, strict=True)]
        )
    return readings


def _whole(sequences: Sequence[Tokens]) -> list[Tokens]:
    """For each sequence one of them that begins with it, and that is the beginning of no other."""
    # Right after a sequence, in dictionary order, come those that begin with it.
    found: dict[Tokens, Tokens] = {}
    following: Tokens = ()
    for each in sorted(set(sequences), reverse=True):
        found[each] = found[following] if following[: len(each)] == each else each
        following = each
    return [found[each] for each in sequences]


def score(
    run: Callable[..., Any], head: Callable[[Tensor], Tensor], readings: list[list[Reading]], device: torch.device
) -> Tensor:
    """Summed log-probabilities of answers.

    Args:
        run: The model up to its last hidden states, with the arguments of transformers.
        head: Function from hidden states to logits.
        readings: ``[prompt][answer]``, from ``plan``.
        device: Device of the model.

    Returns:
        ``[prompt, answer]`` in nats, float32 on the CPU.
    """
    flat = [reading for answers in readings for reading in answers]
    every = [reading.row.tokens for reading in flat]
    # The position before the first target must be run in every row, as its output has the target's logits.
    shared = min(common_prefix(every), min(reading.start for reading in flat) - 1)
    context = None
    if shared:
        ids = torch.tensor([every[0][:shared]], device=device)
        context = run(input_ids=ids, use_cache=True).past_key_values
    branched = [number for number, answers in enumerate(readings) if _branches_pay(answers, shared, device)]
    whole = [number for number in range(len(readings)) if number not in set(branched)]
    scores = torch.empty(len(readings), len(readings[0]), dtype=torch.float32)
    if branched:
        found = [
            score_branches(run, head, _prompt(answers), _targets(answers), context, shared, device)
            for answers in (readings[number] for number in branched)
        ]
        # One copy, as each makes the program wait for the device.
        scores[branched] = torch.stack(found).cpu()
    if whole:
        scores[whole] = _score_rows(run, head, [readings[number] for number in whole], context, shared, device)
    return scores


def _prompt(answers: Sequence[Reading]) -> Tokens:
    """Token ids before the answers of one prompt."""
    return answers[0].row.tokens[: answers[0].start]


def _targets(answers: Sequence[Reading]) -> list[Tokens]:
    return [reading.targets for reading in answers]


def _branches_pay(answers: Sequence[Reading], shared: int, device: torch.device) -> bool:
    """Whether the answers of a prompt take less work as a tree than as sequences of their own."""
    rows = {reading.row.tokens for reading in answers}
    if len(rows) <= FEW_ROWS:
        return False
    of_a_pass, length = PASS_ON_CPU if device.type == "cpu" else PASS, answers[0].start
    passes, tokens = work(length, _targets(answers))
    as_tree = (passes + 1) * of_a_pass + tokens + length - shared
    as_rows = len(rows) / _rows_at_once(rows) * of_a_pass + sum(len(row) - shared for row in rows)
    return as_tree < as_rows


def _rows_at_once(rows: Collection[Tokens]) -> int:
    return max(1, min(MAX_BATCH, CACHE_TOKENS // max(map(len, rows))))


def _score_rows(
    run: Callable[..., Any], head: Callable[[Tensor], Tensor], readings: list[list[Reading]], context: Any, shared: int,
    device: torch.device,
) -> Tensor:  # fmt: skip
    """The same of answers that are run as sequences, in batches of any prompts, after the shared context."""
    flat = [reading for answers in readings for reading in answers]
    rows = sorted({reading.row for reading in flat}, key=lambda row: (len(row.tokens), row.prompt))
    by_row: dict[Row, list[tuple[int, Reading]]] = {row: [] for row in rows}
    for index, reading in enumerate(flat):
        by_row[reading.row].append((index, reading))
    scores = torch.empty(len(flat), dtype=torch.float32)
    for hidden, batch in _states(run, context, rows, shared, device):
        found = [(states, *entry) for states, row in zip(hidden, batch, strict=True) for entry in by_row[row]]
        # One product for all positions of the batch: the output embedding is large and read from memory each time.
        positions = [(reading.start - 1 - shared, len(reading.targets)) for _, _, reading in found]
        read = torch.cat(
            [states[first : first + n] for (states, _, _), (first, n) in zip(found, positions, strict=True)]
        )
        targets = torch.tensor([target for _, _, reading in found for target in reading.targets], device=device)
        each = head(read).float().log_softmax(dim=-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        parts = torch.split(each, [n for _, n in positions])
        # One copy, as each makes the program wait for the device.
        scores[[index for _, index, _ in found]] = torch.stack([part.sum() for part in parts]).cpu()
    return scores.view(len(readings), -1)


def _states(
    run: Callable[..., Any], context: Any, rows: Sequence[Row], shared: int, device: torch.device
) -> Iterator[tuple[Sequence[Tensor] | Tensor, Sequence[Row]]]:
    """Sequences in batches, with hidden states ``[position, dim]`` of each after the shared context."""
    tails = [row.tokens[shared:] for row in rows]
    if packs(run, context, tails, shared, device):
        for part in packed_batches([len(tail) for tail in tails]):
            yield run_packed(run, context, tails[part], shared, device), rows[part]
        return
    size = _rows_at_once([row.tokens for row in rows])
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        yield run_after(run, context, tails[part], shared, device), rows[part]


def run_after(
    run: Callable[..., Any], context: Any, tails: Sequence[Tokens], shared: int, device: torch.device
) -> Tensor:
    """Hidden states of texts after a shared context, in one batch padded on the right.

    Args:
        run: The model up to its last hidden states, with the arguments of transformers.
        context: Keys and values of the shared context, of one row; None without one. They stay as they are.
        tails: Token ids of each text after the shared context.
        shared: Tokens of the shared context.
        device: Device of the model.

    Returns:
        ``[row, position, dim]``.
    """
    longest = max(len(tail) for tail in tails)
    ids = torch.zeros(len(tails), longest, dtype=torch.long)
    mask = torch.ones(len(tails), shared + longest, dtype=torch.long)
    for row, tail in enumerate(tails):
        ids[row, : len(tail)] = torch.tensor(tail)
        mask[row, shared + len(tail) :] = 0
    cache = None if context is None else rows_of(context, [0] * len(tails))
    output = run(
        input_ids=ids.to(device), attention_mask=mask.to(device), past_key_values=cache, use_cache=cache is not None
    )
    hidden: Tensor = output.last_hidden_state
    return hidden
