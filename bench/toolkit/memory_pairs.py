"""Keys and values of memories inside a language model, as readouts were trained with them.

Methods make them to learn, ``bench readout`` to train.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.contracts import LanguageBackbone
from bench.toolkit.hooks import output_layer
from bench.toolkit.readout_forms import Keys, Values

TINY = 1e-6
"""Added to a mean square before its root is taken."""
PREDICTIONS_AT_ONCE = 1024
"""Positions whose predictions over the whole vocabulary are in memory together."""


def memory_keys(states: Tensor, keys: Keys) -> Tensor:
    """What a memory is read with.

    Where keys are hidden states as they are, the longest of them decide the largest singular value, of which the
    cut-off of a solve is a share.

    Args:
        states: ``[..., d]``, hidden states.
        keys: What keys are.

    Returns:
        ``[..., d]`` in float32.
    """
    states = states.float()
    if keys == "state":
        return states
    return states * torch.rsqrt(states.square().mean(dim=-1, keepdim=True) + TINY)


def memory_values(
    backbone: LanguageBackbone,
    states: Sequence[Tensor],
    middle: int,
    ids: Tensor,
    last: Tensor | None,
    keys: Keys,
    values: Values,
) -> list[Tensor]:
    """What the memories of a batch of texts store for each position but the last.

    Args:
        backbone: The language model.
        states: ``[text, position, d]`` at each memory, that before the final norm, if there is one, last.
        middle: Number of middle memories.
        ids: ``[text, position]``, token ids.
        last: ``[text, position, d]``, what the output layer reads; residual values need it.
        keys: What keys are; the next hidden states are in the same form.
        values: What values are.

    Returns:
        ``[text, position - 1, d]`` in float32 for each memory.
    """
    if values == "residual":
        assert last is not None
        return [residuals(backbone, last, ids)] * len(states)
    following = [memory_keys(state[:, 1:], keys) for state in states[:middle]]
    if middle < len(states):
        following.append(backbone.embed(ids)[:, 1:].float())
    return following


@torch.no_grad()
def residuals(backbone: LanguageBackbone, last: Tensor, ids: Tensor) -> Tensor:
    """Input embeddings of the next tokens, minus the mean embedding of what the model predicts.

    With tied embeddings this is the gradient of the log-likelihood with respect to what the output layer reads.

    Args:
        backbone: The language model.
        last: ``[text, position, d]``, what the output layer reads.
        ids: ``[text, position]``, token ids.

    Returns:
        ``[text, position - 1, d]`` in float32.
    """
    head = output_layer(backbone)
    following = backbone.embed(ids)[:, 1:].float()
    every = backbone.embed(torch.arange(head.weight.shape[0], device=ids.device)).float()
    flat = last[:, :-1].flatten(0, 1)
    expected = [head(part).float().softmax(dim=-1) @ every for part in torch.split(flat, PREDICTIONS_AT_ONCE)]
    return following - torch.cat(expected).view_as(following)
