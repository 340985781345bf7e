"""What a language model makes of the end of prompts: next-token distributions, and answers with its states changed."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from bench.contracts import DataError, LanguageBackbone
from bench.toolkit.hooks import input_hooks

ROWS_AT_ONCE = 16
"""Texts that are run together."""
Hooks = Callable[[Tensor], AbstractContextManager[None]]
"""From the position of the last token of the prompt of each row ``[row]`` to a context in which states are changed."""


def token_ids(backbone: LanguageBackbone, text: str) -> Tensor:
    """``[position]``, the tokens of a text on the device of the weights. Raises DataError if it does not fit."""
    batches = [zip(each.ids, each.mask, strict=True) for each in backbone.tokens([text])]
    rows: list[Tensor] = [ids[mask.bool()] for batch in batches for ids, mask in batch]
    if len(rows) > 1:
        raise DataError(
            f"a prompt must fit {backbone.context_length} tokens of the model, got {sum(map(len, rows))}: "
            f"{text[:60]!r}; use fewer demonstrations, shorter texts or a backbone that reads more"
        )
    (found,) = rows
    return found


def shared_length(rows: Sequence[Tensor]) -> int:
    """Tokens that all rows begin with."""
    shortest = min(map(len, rows))
    same = torch.stack([row[:shortest] == rows[0][:shortest] for row in rows]).all(dim=0)
    return int(same.long().cumprod(0).sum())


def repeated(cache: Any, times: int) -> Any:
    """A cache of one text for several rows; the given one stays as it is."""
    made = copy.copy(cache)
    made.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in made.layers:
        layer.keys, layer.values = layer.keys.expand(times, -1, -1, -1), layer.values.expand(times, -1, -1, -1)
    return made


def _runs(backbone: LanguageBackbone, context: str, prompts: Sequence[str]) -> Iterator[tuple[dict[str, Any], Tensor]]:
    """Arguments of the decoder for batches of prompts after a context, and the positions of their last tokens."""
    rows = [token_ids(backbone, context + prompt) for prompt in prompts]
    shared = min(shared_length(rows), min(map(len, rows)) - 1) if context else 0
    device, cache = rows[0].device, None
    if shared:
        cache = backbone.decoder(input_ids=rows[0][None, :shared], use_cache=True).past_key_values
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[start : start + ROWS_AT_ONCE]
        lengths = torch.tensor([len(row) for row in part], device=device)
        ids = pad_sequence([row[shared:] for row in part], batch_first=True)
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


def output_layer(backbone: LanguageBackbone) -> Callable[[Tensor], Tensor]:
    """From hidden states after the final norm to logits."""
    network: Any = backbone.causal_lm
    layer: Callable[[Tensor], Tensor] = network.get_output_embeddings()
    return layer


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
    for prompt in prompts:
        stem = token_ids(backbone, prompt)
        joined = [token_ids(backbone, prompt + name) for name in names]
        first = shared_length([stem, *joined])
        if first == 0 or first == min(map(len, joined)):
            raise DataError(f"an answer needs a token or more, after one or more of prompt; got {prompt[:60]!r}")
        for whole in joined:
            row = rows.setdefault(tuple(whole[:-1].tolist()), len(rows))
            readings.append((row, first, whole[first:]))
    starts = {row: first for row, first, _ in readings}
    order = sorted(rows.items(), key=lambda item: len(item[0]))
    head, scores, device = output_layer(backbone), torch.empty(len(readings)), readings[0][2].device
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
        for place, (_, row) in enumerate(part):
            for number in by_row[row]:
                _, first, targets = readings[number]
                read = head(states[place, first - 1 : first - 1 + len(targets)]).float().log_softmax(dim=-1)
                scores[number] = read.gather(1, targets[:, None]).sum()
    return scores.view(len(prompts), len(names))
