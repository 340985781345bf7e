"""Real items of an episode's support set, without padding."""

from typing import Any

import torch
from torch import Tensor

from bench.testing.problems import Problem
from methods._held_out import draws


def support_of(given: Problem, episode: int) -> tuple[Any, Any]:
    """Keys in float64 and labels, in NumPy."""
    mask = given.support.mask[episode]
    return given.support.keys[episode][mask].double().numpy(), given.support.labels[episode][mask].numpy()


def held_fifth(given: Problem, episode: int) -> Tensor:
    """Which items are held out: the fifth of each class with the lowest draws, or one, and none of a single item."""
    mask = given.support.mask[episode]
    labels, draw = given.support.labels[episode][mask], draws(given.support, given.shape.seed)[episode][mask]
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(given.shape.n_way):
        members = (labels == label).nonzero().squeeze(1)
        members = members[draw[members].argsort()]
        held[members[: max(1, len(members) // 5) if len(members) > 1 else 0]] = True
    return held
