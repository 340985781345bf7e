"""Answers of a language model as rows of its output embedding, one token or the mean of several."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.backbones._tokenizing import TextTokenizer
from bench.contracts import NoClassEmbeddingsError, UsageError
from bench.toolkit.chat import ASSISTANT

_ANCHOR = ":"  # prompt of an answer that is tokenised without a turn of a chat


def answer_tokens(tokenizer: TextTokenizer, names: Sequence[str], prompts: Sequence[str]) -> list[list[int]]:
    """The tokens of each answer after the one prompt.

    Args:
        tokenizer: The model's tokenizer.
        names: Answers.
        prompts: The one prompt.

    Returns:
        ``[answer]`` lists of token ids.

    Raises:
        NoClassEmbeddingsError: If there is more than one prompt, or if an answer has no tokens of its own.
    """
    if len(prompts) != 1:
        raise NoClassEmbeddingsError(
            f"{tokenizer.name} reads one prompt per answer, got {len(prompts)}; tokens have no mean"
        )
    before, mark, after = prompts[0].rpartition(ASSISTANT)
    stem = before + mark or _ANCHOR
    opened, found = tokenizer(stem), []
    for answer in (after.replace("{label}", name) for name in names):
        ids = tokenizer(stem + answer)
        if ids[: len(opened)] != opened or len(ids) == len(opened):
            pieces = tokenizer.tokenizer.convert_ids_to_tokens(ids[len(opened) :])
            raise NoClassEmbeddingsError(
                f"an answer must have tokens of its own, got {answer!r} as {pieces} of {tokenizer.name}"
            )
        found.append(ids[len(opened) :])
    return found


def mean_rows(weight: Tensor, names: Sequence[str], tokens: Sequence[Sequence[int]], model: str) -> Tensor:
    """Rows of the output embedding, or their mean for an answer of several tokens.

    Args:
        weight: ``[token, dim]``, the output embedding.
        names: Answers.
        tokens: ``[answer]`` lists of token ids.
        model: Name of the model, for messages.

    Returns:
        ``[answer, dim]`` in float32, on the CPU.

    Raises:
        NoClassEmbeddingsError: If two answers have the same tokens in any order.
    """
    first = dict[tuple[int, ...], int]()
    for number, ids in enumerate(tokens):
        other = first.setdefault(tuple(sorted(ids)), number)
        if other != number:
            raise NoClassEmbeddingsError(
                f"answers must have different tokens of {model}, got {names[other]!r} and {names[number]!r}"
            )
    return torch.stack([weight[list(ids)].float().mean(dim=0) for ids in tokens]).cpu()


def several_tokens_note(tokens: Sequence[Sequence[int]]) -> str | None:
    """Which class embeddings are means.

    Args:
        tokens: ``[answer]`` lists of token ids.

    Returns:
        A note for the record; None if each answer is one token.
    """
    counts = [len(ids) for ids in tokens]
    several = sum(count > 1 for count in counts)
    if not several:
        return None
    return f"mean of an answer's token embeddings: {several} of {len(counts)} answers have 2 to {max(counts)} tokens"


def require_different(answers: Sequence[str], joined: Sequence[Sequence[Sequence[int]]], model: str) -> None:
    """Require that different answers have different tokens, as a lower-case tokenizer need not give them.

    Args:
        answers: The answers.
        joined: ``[prompt][answer]``, token ids of each prompt with each answer.
        model: Name of the model, for messages.

    Raises:
        UsageError: If two have the same.
    """
    for row in joined:
        if len({tuple(ids) for ids in row}) < len(set(answers)):
            same = [answer for answer, ids in zip(answers, row, strict=True) if row.count(ids) > 1]
            raise UsageError(f"answers must have different tokens of {model}, got {' and '.join(map(repr, same[:2]))}")
