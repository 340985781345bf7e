"""What a method is given: a support set to adapt on and a query set to answer.

Episodes are a batch dimension: every tensor starts with ``[episode, item, ...]``. A ``Query`` has
no labels, and neither has anything reachable from it: that is how the harness keeps methods and
sweeps from seeing them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Classes:
    """The classes of each episode, in the order that labels count them.

    class_embeddings: ``[episode, way, dim_v]``, what a memory should answer for each class (an embedded
        class prompt, or the output embedding of the label's token).
    names: ``[episode][way]``, readable class names; for text tasks the answer as it follows the prompt.
    """

    class_embeddings: Tensor
    names: tuple[tuple[str, ...], ...]

    @property
    def n_way(self) -> int:
        """Number of classes in an episode."""
        return self.class_embeddings.shape[1]


@dataclass(frozen=True)
class Inputs:
    """Raw inputs (PIL images or prompts) by episode, read only when asked for.

    positions: ``[episode, item]``, -1 where an item is padding.
    fetch: maps a list of positions to the raw inputs there. It cannot reach labels.
    """

    positions: np.ndarray
    fetch: Callable[[Sequence[int]], list[Any]]

    def episode(self, index: int) -> list[Any]:
        """The raw inputs of one episode, padding left out."""
        row = self.positions[index]
        return self.fetch([int(position) for position in row[row >= 0]])


@dataclass(frozen=True)
class Items:
    """A batch of items without labels.

    keys: ``[episode, item, dim_k]``, L2-normalised; width 0 for methods that read inputs.
    prior: ``[episode, item, dim_v]``, what the frozen model answers unaided.
    mask: ``[episode, item]``, False where an item is padding.
    """

    keys: Tensor
    prior: Tensor
    mask: Tensor
    classes: Classes
    inputs: Inputs

    @property
    def n_episodes(self) -> int:
        """Number of episodes in the batch."""
        return self.keys.shape[0]

    def to(self, device: torch.device) -> Self:
        """The same batch with its tensors on ``device``; raw inputs stay where they are."""
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in self.__dict__.items() if isinstance(value, Tensor)
        }
        return replace(
            self, classes=replace(self.classes, class_embeddings=self.classes.class_embeddings.to(device)), **moved
        )


@dataclass(frozen=True)
class Query(Items):
    """Items to answer. There is deliberately no field for labels."""


@dataclass(frozen=True)
class Support(Items):
    """Labelled items to adapt on.

    labels: ``[episode, item]``, positions in ``classes``; 0 where masked.
    targets: maps a list of positions to what should be written there; None where that is the class's name.
    """

    labels: Tensor
    targets: Callable[[Sequence[int]], list[str]] | None = None

    def completions(self, index: int) -> list[str]:
        """What follows the prompt of each item of an episode, padding left out."""
        if self.targets is not None:
            row = self.inputs.positions[index]
            return self.targets([int(position) for position in row[row >= 0]])
        names = self.classes.names[index]
        return [names[label] for label in self.labels[index][self.mask[index]].tolist()]

    @property
    def values(self) -> Tensor:
        """``[episode, item, dim_v]``: the class value that each item's label stands for."""
        index = self.labels.unsqueeze(-1).expand(-1, -1, self.classes.class_embeddings.shape[-1])
        return self.classes.class_embeddings.gather(1, index)
