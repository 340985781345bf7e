"""Log-probabilities of many answers after one prompt, as a tree: tokens that answers begin with in common run once."""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

CACHE_TOKENS = 8192
"""Cached positions of one batch: the key-value cache is the largest tensor here."""
MOST_ROWS = 128
"""Largest number of answers of one batch, which bounds the logits."""

Tokens = tuple[int, ...]


def parts(prompt: int, answers: Sequence[Tokens]) -> Iterator[list[int]]:
    """Answers in batches, those that begin alike together.

    Args:
        prompt: Tokens of the prompt.
        answers: Token ids of each answer.

    Yields:
        Numbers of answers.
    """
    size = max(1, min(MOST_ROWS, CACHE_TOKENS // (prompt + max(map(len, answers)))))
    order = sorted(range(len(answers)), key=lambda number: answers[number])
    for start in range(0, len(order), size):
        yield order[start : start + size]


def levels(answers: Sequence[Tokens]) -> list[list[Tokens]]:
    """The nodes of the tree below the prompt: distinct beginnings of answers that a further token follows.

    Args:
        answers: Token ids of each answer.

    Returns:
        The beginnings of one token, of two, and so on.
    """
    longest = max(map(len, answers))
    return [sorted({each[:depth] for each in answers if len(each) > depth}) for depth in range(1, longest)]


def work(prompt: int, answers: Sequence[Tokens]) -> tuple[int, int]:
    """Work of all answers after a prompt that was run.

    Args:
        prompt: Tokens of the prompt.
        answers: Token ids of each answer.

    Returns:
        Forward passes, and tokens in them.
    """
    nodes = [level for part in parts(prompt, answers) for level in levels([answers[number] for number in part])]
    return len(nodes), sum(map(len, nodes))


def score_branches(
    run: Callable[..., Any], head: Callable[[Tensor], Tensor], prompt: Tokens, answers: Sequence[Tokens], context: Any,
    shared: int, device: torch.device,
) -> Tensor:  # fmt: skip
    """Summed log-probabilities of answers after one prompt.

    Args:
        run: The model up to its last hidden states, with the arguments of transformers.
        head: Function from hidden states to logits.
        prompt: Token ids before the answers, the shared context included.
        answers: Token ids of each answer, one at least.
        context: Keys and values of the shared context, of one row; None without one. They stay as they are.
        shared: Tokens of the shared context, fewer than those of the prompt.
        device: Device of the model.

    Returns:
        ``[answer]`` in nats, float32 on the device.
    """

    def step(tails: Sequence[Tokens], length: int, cache: Any) -> Any:
        mask = torch.ones(len(tails), length, dtype=torch.long, device=device)
        ids = torch.tensor(tails, device=device)
        return run(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True)

    def log_probabilities(output: Any) -> Tensor:
        return head(output.last_hidden_state[:, -1]).float().log_softmax(dim=-1)

    begun = step([prompt[shared:]], len(prompt), None if context is None else rows_of(context, [0]))
    totals = log_probabilities(begun)[0, torch.tensor([answer[0] for answer in answers], device=device)]
    for part in parts(len(prompt), answers):
        cache = begun.past_key_values
        places: dict[Tokens, int] = {(): 0}
        for depth, nodes in enumerate(levels([answers[number] for number in part]), start=1):
            cache = rows_of(cache, [places[node[:-1]] for node in nodes])
            output = step([node[-1:] for node in nodes], len(prompt) + depth, cache)
            cache, places = output.past_key_values, {node: place for place, node in enumerate(nodes)}
            further = [number for number in part if len(answers[number]) > depth]
            rows = torch.tensor([places[answers[number][:depth]] for number in further], device=device)
            targets = torch.tensor([answers[number][depth] for number in further], device=device)
            totals[torch.tensor(further, device=device)] += log_probabilities(output)[rows, targets]
    return totals


def rows_of(cache: Any, rows: Sequence[int]) -> Any:
    """Some rows of a cache, each any number of times; the cache itself stays as it is.

    Args:
        cache: Keys and values by layer.
        rows: Numbers of its rows.

    Returns:
        A cache of these rows. Of a cache of one row its tensors are views, which a layer's update copies anyway.
    """
    made = copy.copy(cache)
    made.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in made.layers:
        layer.keys, layer.values = _rows(layer.keys, rows), _rows(layer.values, rows)
    return made


def _rows(tensor: Tensor, rows: Sequence[int]) -> Tensor:
    if len(tensor) == 1:
        return tensor.expand(len(rows), -1, -1, -1)
    return tensor.index_select(0, torch.tensor(rows, device=tensor.device))
