"""Items of synthetic support and query sets: selection and padding."""

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from bench.contracts import Classes, Items, Support

SomeItems = TypeVar("SomeItems", bound=Items)


def masked(support: Support, mask: Tensor) -> Support:
    """Turn items into padding: random features, label 0, position -1.

    Args:
        support: The support set.
        mask: ``[episode, item]``, False for padding.

    Returns:
        A copy.
    """
    garbage = torch.Generator().manual_seed(99)

    def spoil(tensor: Tensor) -> Tensor:
        return torch.where(mask.unsqueeze(-1), tensor, 5 * torch.randn(tensor.shape, generator=garbage))

    return replace(
        support,
        keys=spoil(support.keys),
        prior=spoil(support.prior),
        mask=mask,
        labels=support.labels.where(mask, 0),
        inputs=replace(support.inputs, positions=np.where(mask.numpy(), support.inputs.positions, -1)),
    )


def padded(support: Support, count: int) -> Support:
    """Add padding items at the end.

    Args:
        support: The support set.
        count: Number of padding items.

    Returns:
        A copy.
    """
    wider = columns(support, torch.arange(support.mask.shape[1] + count).clamp(max=support.mask.shape[1] - 1))
    mask = torch.cat([support.mask, torch.zeros(len(support.mask), count, dtype=torch.bool)], dim=1)
    return masked(wider, mask)


def columns(items: SomeItems, index: "Tensor | slice") -> SomeItems:
    """Some items of every episode.

    Args:
        items: The batch.
        index: Positions of the items, or a slice.

    Returns:
        A copy.
    """
    tensors: dict[str, Any] = {
        name: value[:, index] for name, value in vars(items).items() if isinstance(value, Tensor)
    }
    positions = items.inputs.positions[:, index if isinstance(index, slice) else index.numpy()]
    return replace(items, inputs=replace(items.inputs, positions=positions), **tensors)


def episodes(items: SomeItems, part: slice) -> SomeItems:
    """Some episodes.

    Args:
        items: The batch.
        part: The episodes.

    Returns:
        A copy.
    """
    tensors: dict[str, Any] = {name: value[part] for name, value in vars(items).items() if isinstance(value, Tensor)}
    classes = Classes(items.classes.class_embeddings[part], items.classes.names[part])
    return replace(
        items, classes=classes, inputs=replace(items.inputs, positions=items.inputs.positions[part]), **tensors
    )
