"""What a language model makes of the end of prompts: next-token distributions, and answers with its states changed."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from bench.contracts import DataError, LanguageBackbone
from bench.toolkit.hooks import input_hooks, output_layer

ROWS_AT_ONCE = 16
"""Texts that are run together."""
Hooks = Callable[[Tensor], AbstractContextManager[None]]
"""From the position of the last token of the prompt of each row ``[row]`` to a context in which states are changed."""


def token_ids(backbone: LanguageBackbone, texts: Sequence[str]) -> list[Tensor]:
    """Tokens of texts, for comparison and for batches of a method's own.

    Args:
        backbone: The model.
        texts: One text or more.

    Returns:
        ``[position]`` for each text, on the CPU.

    Raises:
        DataError: If a text does not fit the model.
    """
    parts: list[Tensor] = []
    for text in texts:
        batches = list(backbone.tokens([text]))
        if sum(len(batch.ids) for batch in batches) > 1:
            raise DataError(
                f"a prompt must fit {backbone.context_length} tokens of the model, got "
                f"{backbone.count_tokens([text])[0]}: {text[:60]!r}; use fewer demonstrations, shorter texts or a "
                "backbone that reads more"
            )
        parts += [batches[0].ids[0], batches[0].mask[0]]
    # One copy for all texts, as each makes the program wait for the device.
    found = torch.split(torch.cat(parts).cpu(), [len(part) for part in parts])
    return [ids[mask.bool()] for ids, mask in zip(found[::2], found[1::2], strict=True)]


def weights_device(backbone: LanguageBackbone) -> torch.device:
    """The device that a model's inputs belong on."""
    return next(backbone.parameters()).device


def shared_length(rows: Sequence[Tensor]) -> int:
    """Tokens that all rows begin with."""
    shortest = min(map(len, rows))
    same = torch.stack([row[:shortest] == rows[0][:shortest] for row in rows]).all(dim=0)
    return int(same.long().cumprod(0).sum())


def answer_start(prompt: str, stem: Tensor, joined: Sequence[Tensor]) -> int:
    """Position of the first token that answers to a prompt may differ in.

    Args:
        prompt: The prompt, for messages.
        stem: Its tokens ``[position]``.
        joined: Tokens of the prompt with each answer.

    Returns:
        The position.

    Raises:
        DataError: If an answer has no token of its own, or the prompt none.
    """
    first = shared_length([stem, *joined])
    if first == 0 or first == min(map(len, joined)):
        raise DataError(f"an answer needs a token or more, after one or more of prompt; got {prompt[:60]!r}")
    return first


def repeated(cache: Any, times: int) -> Any:
    """A cache of one text for several rows; the given one stays as it is."""
    made = copy.copy(cache)
    made.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in made.layers:
        layer.keys, layer.values = layer.keys.expand(times, -1, -1, -1), layer.values.expand(times, -1, -1, -1)
    return made


def _runs(backbone: LanguageBackbone, context: str, prompts: Sequence[str]) -> Iterator[tuple[dict[str, Any], Tensor]]:
    """Arguments of the decoder for batches of prompts after a context, and the positions of their last tokens."""
    rows = token_ids(backbone, [context + prompt for prompt in prompts])
    shared = min(shared_length(rows), min(map(len, rows)) - 1) if context else 0
    device, cache = weights_device(backbone), None
    if shared:
        cache = backbone.decoder(input_ids=rows[0][None, :shared].to(device), use_cache=True).past_key_values
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[start : start + ROWS_AT_ONCE]
        lengths = torch.tensor([len(row) for row in part], device=device)
        ids = pad_sequence([row[shared:] for row in part], batch_first=True).to(device)
        mask = (torch.arange(shared + ids.shape[1], device=device) < lengths[:, None]).long()
        before = None if cache is None else repeated(cache, len(part))
        run = {"input_ids": ids, "attention_mask": mask, "past_key_values": before, "use_cache": cache is not None}
        yield run, lengths - 1 - shared


def next_tokens(backbone: LanguageBackbone, context: str, prompts: Sequence[str]) -> Tensor:
    """Log-probabilities of the token after each prompt.

    Args:
        backbone: The model.
        context: Text before every prompt, which is run once.
        prompts: The prompts.

    Returns:
        ``[prompt, token]`` in float32, on the device of the weights.

    Raises:
        DataError: If context and prompt do not fit the model.
    """
    found = []
    for run, last in _runs(backbone, context, prompts):
        states = backbone.decoder(**run).last_hidden_state
        found.append(output_layer(backbone)(states[torch.arange(len(last)), last]).float().log_softmax(dim=-1))
    return torch.cat(found)


def end_inputs(
    backbone: LanguageBackbone, context: str, prompts: Sequence[str], modules: Sequence[nn.Module]
) -> Tensor:
    """First inputs of modules at the last token of each prompt.

    Args:
        backbone: The model.
        context: Text before every prompt, which is run once.
        prompts: The prompts.
        modules: Modules of the decoder in the order in which they run, with inputs of one width.

    Returns:
        ``[prompt, module, dim]`` in float32.

    Raises:
        DataError: If context and prompt do not fit the model.
    """
    found = []
    for run, last in _runs(backbone, context, prompts):
        seen: list[Tensor] = []
        with input_hooks([(module, seen.append) for module in modules]):
            backbone.decoder(**run)
        rows = torch.arange(len(last))
        found.append(torch.stack([states[rows, last].float() for states in seen], dim=1))
    return torch.cat(found)


def after_blocks(backbone: LanguageBackbone) -> list[nn.Module]:
    """The modules whose first inputs are the states after each block: the next block, or the final norm."""
    return [*backbone.blocks[1:], backbone.final_norm]


def changed_at(last: Tensor, module: nn.Module, change: Callable[[Tensor], Tensor]) -> AbstractContextManager[None]:
    """A context in which the first input of a module is changed at one position of each row.

    Args:
        last: ``[row]`` positions.
        module: The module.
        change: From ``[row, dim]`` to the same shape, in float32.

    Returns:
        The context.
    """

    def changed(states: Tensor) -> Tensor:
        rows = torch.arange(len(last), device=states.device)
        made = states.clone()
        made[rows, last] = change(states[rows, last].float()).to(states.dtype)
        return made

    return input_hooks([(module, changed)])


def answers_with(backbone: LanguageBackbone, prompts: Sequence[str], names: Sequence[str], hooks: Hooks) -> Tensor:
    """Log-likelihood of each answer after each prompt, with states changed on the way.

    Args:
        backbone: The model.
        prompts: The prompts.
        names: The answers.
        hooks: What changes states; answers of one token after the same prompt share a row.

    Returns:
        ``[prompt, answer]`` on the CPU.

    Raises:
        DataError: If prompt and answer do not fit, or an answer has no token of its own.
    """
    rows: dict[tuple[int, ...], int] = {}
    readings: list[tuple[int, int, Tensor]] = []
    found = iter(token_ids(backbone, [prompt + ending for prompt in prompts for ending in ("", *names)]))
    for prompt in prompts:
        stem, *joined = islice(found, 1 + len(names))
        first = answer_start(prompt, stem, joined)
        for whole in joined:
            row = rows.setdefault(tuple(whole[:-1].tolist()), len(rows))
            readings.append((row, first, whole[first:]))
    starts = {row: first for row, first, _ in readings}
    order = sorted(rows.items(), key=lambda item: len(item[0]))
    head, scores, device = output_layer(backbone), torch.empty(len(readings)), weights_device(backbone)
    by_row: dict[int, list[int]] = {}
    for number, (row, _, _) in enumerate(readings):
        by_row.setdefault(row, []).append(number)
    for start in range(0, len(order), ROWS_AT_ONCE):
        part = order[start : start + ROWS_AT_ONCE]
        ids = pad_sequence([torch.tensor(tokens, device=device) for tokens, _ in part], batch_first=True)
        lengths = torch.tensor([len(tokens) for tokens, _ in part], device=device)
        mask = (torch.arange(ids.shape[1], device=device) < lengths[:, None]).long()
        last = torch.tensor([starts[row] - 1 for _, row in part], device=device)
        with hooks(last):
            states = backbone.decoder(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        numbers = [(place, number) for place, (_, row) in enumerate(part) for number in by_row[row]]
        wanted = [readings[number][2] for _, number in numbers]
        sums = []
        on_device = torch.split(torch.cat(wanted).to(device), [len(targets) for targets in wanted])
        for (place, number), targets in zip(numbers, on_device, strict=True):
            first = readings[number][1]
            read = head(states[place, first - 1 : first - 1 + len(targets)]).float().log_softmax(dim=-1)
            sums.append(read.gather(1, targets[:, None]).sum())
        # One copy, as each makes the program wait for the device.
        scores[[number for _, number in numbers]] = torch.stack(sums).cpu()
    return scores.view(len(prompts), len(names))
