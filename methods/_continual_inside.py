"""Memories inside a language model that go on with further support sets, and texts that are read through them."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, Self, cast

import torch
from torch import Tensor, nn

from bench.contracts import Continual, LanguageBackbone, Memory, Removing, Support, TextScorer
from bench.toolkit.hidden_states import HiddenStateMethod


class Through:
    """A language model whose texts are scored with a method's hooks in place."""

    def __init__(self, backbone: LanguageBackbone, hooks_active: Callable[[], AbstractContextManager[None]]) -> None:
        self._backbone, self._hooks_active = backbone, hooks_active

    def eval(self) -> Self:
        """Put the model into evaluation mode."""
        self._backbone.eval()
        return self

    def loglikelihood_rolling(self, texts: Sequence[str], window: int, stride: Any) -> Tensor:
        """Negative log-likelihood of texts; see ``LanguageBackbone.loglikelihood_rolling``."""
        with self._hooks_active():
            return self._backbone.loglikelihood_rolling(texts, window, stride)


class LastingInside(Continual, HiddenStateMethod):
    """Base of memories that keep what they were made of; support texts are read by the unchanged model, as ever."""

    def continue_adapt(self) -> None:
        """Nothing to prepare: the memories stayed."""
        return

    def language_model(self) -> TextScorer:
        """The model with its memories, or as it is where nothing was observed."""
        return Through(self.backbone, self.hooks_active) if self.notes["support_tokens"] else self.backbone


class Lasting(Protocol):
    """A memory that pairs can be taken out of."""

    def remove(self, other: Any) -> None:
        """Take out the pairs of another memory, which are in this one."""


class RemovingInside(Removing, LastingInside):
    """Base of memories that are sums over pairs, which can be subtracted."""

    @torch.no_grad()
    def forget(self, support: Support) -> None:
        """Read a support set once more, and subtract its sums."""
        whole, tokens = self.memories, self.notes["support_tokens"]
        made: Any = nn.ModuleList([self.make_memory(self.backbone.width) for _ in self.places])
        self.memories = cast(Sequence[Memory], made)
        self.observe(support)
        for memory, gone in zip(cast(Sequence[Lasting], whole), self.memories, strict=True):
            memory.remove(gone)
        self.memories = whole
        self.notes["support_tokens"] = 2 * tokens - self.notes["support_tokens"]
