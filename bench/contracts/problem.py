"""Sizes and settings of a problem, as a method knows them before the first example."""

from dataclasses import dataclass, field

import torch

from bench.contracts.kinds import Kind
from bench.contracts.language_backbone import AnswerProtocol


@dataclass(frozen=True)
class Limits:
    """Budget limits that a method itself keeps, per episode; None for no limit.

    Attributes:
        state_bytes: Largest ``Method.state_bytes``; a method that stores examples keeps as many as fit, balanced by
            class.
        tokens: Largest number of tokens of the support set before a query.
    """

    state_bytes: int | None = None
    tokens: int | None = None

    def items(self, bytes_each: int, bytes_once: int = 0) -> int | None:
        """Number of items that fit a store.

        Args:
            bytes_each: Bytes of one item.
            bytes_once: Bytes of the rest of the state.

        Returns:
            The largest number of items; None for any number.
        """
        if self.state_bytes is None:
            return None
        return max(0, self.state_bytes - bytes_once) // bytes_each


@dataclass(frozen=True)
class ProblemShape:
    """Sizes and settings of a problem, known before the first example.

    Attributes:
        n_episodes: Episodes in the batch.
        n_way: Classes per episode.
        n_support: Support items per episode (the largest number, where episodes differ).
        key_dim: Width of a key.
        value_dim: Width of a class embedding; 0 where there are none.
        prior_strength: N0 on this task and backbone, unless the config sets it.
        separator: Text between two demonstrations.
        seed: Seed derived from names of task, protocol and repeat, the same for all methods.
        kind: Kind of the task.
        protocol: Evaluation options of tasks without classes.
        limits: Budget limits of the method.
        content_free: Prompts whose text says nothing, see ``Task.content_free``.
        class_prompts: Texts that a class name is put into before it is embedded, see ``Task.prompts``.
    """

    n_episodes: int
    n_way: int
    n_support: int
    key_dim: int
    value_dim: int
    prior_strength: float
    separator: str
    seed: int
    kind: Kind = Kind.IMAGE_CLASSIFICATION
    protocol: AnswerProtocol = field(default_factory=AnswerProtocol)
    limits: Limits = field(default_factory=Limits)
    content_free: tuple[str, ...] = ()
    class_prompts: tuple[str, ...] = ("{label}",)

    def generator(self) -> torch.Generator:
        """A CPU random generator with the problem's seed."""
        return torch.Generator().manual_seed(self.seed)
