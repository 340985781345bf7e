"""Chunks of in-place test-time training: values of tokens, reading by a state that chunks change, attention within.

The outputs of a down-projection W are ``y_s = W h_s + lr sum_r z_r (h_r . h_s)`` over all tokens r in chunks before
that of s. Values are ``z = u P``; u is a depthwise convolution over five tokens of the targets, within the chunk.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv1d, pad

KERNEL = 5
"""Tokens that a value is made of: two before, the token itself, two after."""


@dataclass(frozen=True)
class InPlaceParts:
    """Tensors that make the values of one block in a model of width d.

    Attributes:
        conv: ``[d, 1, 5]``, the depthwise convolution.
        proj: ``[d, d]``, P; None for the identity.
    """

    conv: Tensor
    proj: Tensor | None


def chunk_values(targets: Tensor, parts: InPlaceParts, chunk: int) -> Tensor:
    """Values of tokens; nothing crosses the border of a chunk.

    Args:
        targets: ``[text, position, d]``.
        parts: The convolution and P.
        chunk: Tokens of a chunk.

    Returns:
        ``[text, position, d]``.
    """
    n_texts, length, width = targets.shape
    whole = pad(targets, (0, 0, 0, -length % chunk))
    rows = whole.reshape(-1, chunk, width).mT
    mixed = conv1d(rows, parts.conv.to(rows), padding=KERNEL // 2, groups=width)
    values = mixed.mT.reshape(n_texts, -1, width)[:, :length]
    return values if parts.proj is None else values @ parts.proj.to(values)


def read_in_chunks(
    hidden: Tensor, values: Tensor, state: Tensor | None, chunk: int, largest: float | None = None, *,
    unfinished: bool = False,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """Read texts chunk by chunk: each chunk by the state before it, which the chunk then changes.

    Args:
        hidden: ``[text, position, H]``, inputs of the down-projection.
        values: ``[text, position, d]``, times the rate.
        state: ``[text or 1, d, H]``, what was added to the down-projection before; None for nothing.
        chunk: Tokens of a chunk.
        largest: Largest Frobenius norm of a state, which is scaled down to it; None for no limit.
        unfinished: Whether a chunk of fewer tokens at the end changes the state too.

    Returns:
        ``[text, position, d]``, what the state adds to the outputs, and the state after the texts.
    """
    added = []
    for start in range(0, hidden.shape[1], chunk):
        part, value = hidden[:, start : start + chunk], values[:, start : start + chunk]
        added.append(torch.zeros_like(value) if state is None else part @ state.mT)
        if part.shape[1] == chunk or unfinished:
            change = value.mT @ part
            state = change if state is None else state + change
            if largest is not None:
                norm = torch.linalg.vector_norm(state, dim=(1, 2), keepdim=True)
                state = state * (largest / norm.clamp(min=torch.finfo(norm.dtype).tiny)).clamp(max=1)
    return torch.cat(added, dim=1), state


def chunk_attention(before: int, border: int, mask: Tensor, chunk: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Arguments of a decoder with which every token attends to its own chunk alone and positions restart in each.

    Tokens after the shared beginning belong to the chunk of the first of them.

    Args:
        before: Tokens in the cache.
        border: Tokens of the shared beginning; 0 while it is read.
        mask: ``[text, before + position]``, 0 for padding.
        chunk: Tokens of a chunk.
        dtype: Type of the mask that is added to the scores.

    Returns:
        ``attention_mask [text, 1, position, before + position]`` and ``position_ids [1, position]``.
    """
    places = torch.arange(mask.shape[1], device=mask.device)
    group = places // chunk
    if border:
        group = group.clamp(max=border // chunk)
    own = places[before:, None] == places
    allowed = (group[before:, None] == group) & (places[before:, None] >= places) & mask[:, None].bool()
    scores = torch.zeros(mask.shape[0], 1, *own.shape, dtype=dtype, device=mask.device)
    # Padding attends to itself, as a softmax of nothing is no number.
    scores = scores.masked_fill(~(allowed | own)[:, None], torch.finfo(dtype).min)
    return {"attention_mask": scores, "position_ids": (places - group * chunk)[before:][None]}
