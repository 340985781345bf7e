"""Support and query batches of methods.

Episodes are a batch dimension: every tensor starts with ``[episode, item, ...]``. A ``Query`` has no labels, and
nothing reachable from it has: this keeps labels of queries from methods and sweeps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Classes:
    """The classes of each episode, in the order of the labels.

    Attributes:
        class_embeddings: ``[episode, way, dim_v]``, the value of each class: an embedded class prompt, or the output
            embedding of the label's token.
        names: ``[episode][way]`` class names; in text tasks the answers as they follow the prompt.
    """

    class_embeddings: Tensor
    names: tuple[tuple[str, ...], ...]

    @property
    def n_way(self) -> int:
        """Number of classes in an episode."""
        return self.class_embeddings.shape[1]

    def to(self, device: torch.device) -> Self:
        """The classes with their embeddings on another device.

        Args:
            device: The device.

        Returns:
            A copy.
        """
        return replace(self, class_embeddings=self.class_embeddings.to(device))


@dataclass(frozen=True)
class Inputs:
    """Raw inputs (PIL images or prompts) by episode, read lazily.

    Attributes:
        positions: ``[episode, item]``, -1 for padding.
        fetch: Function from a list of positions to the raw inputs there. Labels are out of its reach.
    """

    positions: np.ndarray
    fetch: Callable[[Sequence[int]], list[Any]]

    def episode(self, index: int) -> list[Any]:
        """Raw inputs of one episode without padding.

        Args:
            index: Number of the episode in the batch.

        Returns:
            PIL images or prompts, ``[item]``.
        """
        row = self.positions[index]
        return self.fetch([int(position) for position in row[row >= 0]])


@dataclass(frozen=True)
class Items:
    """A batch of items without labels.

    Attributes:
        keys: ``[episode, item, dim_k]``, L2-normalised; width 0 for methods that read inputs.
        prior: ``[episode, item, dim_v]``, the zero-shot prior.
        mask: ``[episode, item]``, False for padding.
        classes: The classes of each episode.
        inputs: Raw inputs of the items.
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

    def to(self, device: torch.device, classes: Classes | None = None) -> Self:
        """The batch with its tensors on another device; raw inputs stay on the CPU.

        Args:
            device: The device. To a GPU, features in pinned memory are copied while the program goes on.
            classes: The classes, where they are on the device already; None to move them too.

        Returns:
            A copy.
        """
        # Never back to the CPU, where whatever is next would read a copy that is not there yet.
        move = partial(torch.Tensor.to, device=device, non_blocking=device.type == "cuda")
        moved: dict[str, Any] = {
            name: move(value) for name, value in self.__dict__.items() if isinstance(value, Tensor) and name != "prior"
        }
        moved["prior"] = moved["keys"] if self.prior is self.keys else move(self.prior)
        return replace(self, classes=classes or self.classes.to(device), **moved)


@dataclass(frozen=True)
class Query(Items):
    """Items to answer, without a field for labels."""


@dataclass(frozen=True)
class Support(Items):
    """Labelled items to adapt on.

    Attributes:
        labels: ``[episode, item]``, positions in ``classes``; 0 for padding.
        targets: Function from a list of positions to the reference texts there; None where the class name is the
            target.
    """

    labels: Tensor
    targets: Callable[[Sequence[int]], list[str]] | None = None

    def completions(self, index: int) -> list[str]:
        """Reference answers after the prompts of one episode, without padding.

        Args:
            index: Number of the episode in the batch.

        Returns:
            Target texts or class names, ``[item]``.
        """
        if self.targets is not None:
            row = self.inputs.positions[index]
            return self.targets([int(position) for position in row[row >= 0]])
        names = self.classes.names[index]
        return [names[label] for label in self.labels[index][self.mask[index]].tolist()]

    @property
    def values(self) -> Tensor:
        """``[episode, item, dim_v]``, the class embedding of each item's label."""
        index = self.labels.unsqueeze(-1).expand(-1, -1, self.classes.class_embeddings.shape[-1])
        return self.classes.class_embeddings.gather(1, index)
