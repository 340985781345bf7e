"""Cross-validation of settings of a language model's prompts and hooks: support items left out, part by part."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from methods._choice import chosen
from methods._demonstrations import PARTS, parts_of

MOST = 50
"""Support items that a setting is chosen by, at most."""


def left_out(
    order: Sequence[int], most: int | None = None, count: int = PARTS
) -> Iterator[tuple[Sequence[int], list[int]]]:
    """Parts of items, each with all others.

    Args:
        order: The items, in rounds of one of each class.
        most: Items that are left out in all, the last ones; None for all.
        count: Number of parts, at most.

    Yields:
        The items of a part, and the other items of the order.
    """
    for part in parts_of(order if most is None else order[-most:], count):
        held = set(part)
        yield part, [item for item in order if item not in held]


def best_setting(scores: Tensor, labels: Sequence[int]) -> int:
    """The setting of best accuracy, or the first unless another is better by more than a standard error.

    Args:
        scores: ``[setting, item, way]`` of items by what the others give, the default's first.
        labels: Their classes.

    Returns:
        Number of the setting.
    """
    mask = torch.ones(1, len(labels), dtype=torch.bool)
    return int(chosen(scores.unsqueeze(1), torch.tensor([list(labels)]), mask, "accuracy")[0])
