"""In-context learning: the examples stand before the query in the language model's prompt."""

from collections.abc import Sequence
from typing import ClassVar

import torch

from bench.contracts import (
    Answers,
    Backbone,
    ForwardMethod,
    InputMode,
    Kind,
    LanguageBackbone,
    MethodConfig,
    ProblemShape,
    Query,
    Support,
    UsageError,
)
from bench.toolkit.hidden_states import whole_texts


class InContext(ForwardMethod):
    """Demonstrations, each a prompt with its answer, then the query, which is answered as it would be without them.

    Classification: scores are the answers' log-probabilities; the demonstrations are run once for all queries of a
    batch. Translation: the answer is what the model writes, and demonstrations leave room for it.

    Demonstrations stand in an order shuffled by the problem's seed, since a support set comes sorted
    by class and a model leans towards the classes it read last. Whole demonstrations are dropped,
    oldest (first) first, until the rest fits with the longest query and answer of a batch, and what a budget leaves
    for tokens and state; the smallest number kept over all batches is in ``notes``.

    In a task of chats, demonstrations are earlier turns of the conversation: the user's prompt and the assistant's
    answer, one after another, below a single system message.
    """

    kinds = frozenset({Kind.TEXT_CLASSIFICATION, Kind.TRANSLATION})
    reads = InputMode.INPUTS
    episodes_at_once = 1
    source: ClassVar[str] = "Brown et al. 2020, Language Models are Few-Shot Learners, arXiv 2005.14165"

    def __init__(self, config: MethodConfig, backbone: Backbone, shape: ProblemShape) -> None:
        if not isinstance(backbone, LanguageBackbone):
            raise UsageError(
                f"in_context needs a language model, got {type(backbone).__name__}; choose a language backbone"
            )
        super().__init__(config, backbone, shape)
        self._observed = 0
        self._demonstrations: list[str] = []
        self._tokens: list[int] = []

    backbone: LanguageBackbone

    def observe(self, support: Support) -> None:
        """Write the batch's items out as demonstrations, each ended by the separator."""
        self._demonstrations += whole_texts(support, self.shape)

    def solve(self) -> None:
        """Shuffle, and forget what would not fit before even the shortest query."""
        self._observed = len(self._demonstrations)
        order = torch.randperm(self._observed, generator=self.shape.generator()).tolist()
        shuffled = [self._demonstrations[index] for index in order]
        count = self.backbone.count_tokens
        # What one more of it takes: alone it would also count what begins a text, such as a system message.
        twice = count([text * 2 for text in shuffled])
        tokens = [both - one for both, one in zip(twice, count(shuffled), strict=True)]
        limits, room = self.shape.limits, self.backbone.context_length
        first = _first_that_fits(tokens, room if limits.tokens is None else min(room, limits.tokens))
        if limits.state_bytes is not None:
            sizes = [len(text.encode()) for text in shuffled]
            first = max(first, _first_that_fits(sizes, limits.state_bytes))
        self._demonstrations, self._tokens = shuffled[first:], tokens[first:]

    def predict(self, query: Query) -> Answers:
        """What the model answers after the demonstrations; see Method.predict for the shapes.

        Raises DataError if a query does not fit the model even without demonstrations.
        """
        prompts, shape = query.inputs.episode(0), self.shape
        context = self._context(prompts, self._longest_answer(query.classes.names[0])) if prompts else ""
        return self.backbone.answer(query, shape.kind, shape.protocol, context)

    def state_bytes(self) -> int:
        """Bytes of the demonstrations as UTF-8 text; the key-value cache is rebuilt from it."""
        return sum(len(text.encode()) for text in self._demonstrations)

    def context_tokens(self) -> int:
        """Tokens of the demonstrations, which stand before every query."""
        return sum(self._tokens)

    def _longest_answer(self, names: Sequence[str]) -> int:
        """Tokens that an answer may take."""
        if self.shape.kind is Kind.TRANSLATION:
            return self.shape.protocol.max_new_tokens
        return max(self.backbone.count_tokens(names))

    def _context(self, prompts: Sequence[str], answer: int) -> str:
        """The demonstrations that fit before every one of the prompts with an answer of so many tokens."""
        count = self.backbone.count_tokens
        room = self.backbone.context_length - answer
        length, longest = max(zip(count(prompts), prompts, strict=True))
        first = _first_that_fits(self._tokens, room - length)
        context = "".join(self._demonstrations[first:])
        # Parts tokenised together may count otherwise than the sum of the parts.
        while context and count([context + longest])[0] > room:
            first += 1
            context = "".join(self._demonstrations[first:])
        kept = len(self._demonstrations) - first
        kept = min(kept, self.notes.get("demonstrations_kept", kept))
        self.notes |= {"demonstrations_kept": kept, "demonstrations_dropped": self._observed - kept}
        return context


def _first_that_fits(tokens: list[int], room: int) -> int:
    """Least index from which on all ``tokens`` together are at most ``room``."""
    first = len(tokens)
    while first > 0 and tokens[first - 1] <= room:
        first -= 1
        room -= tokens[first]
    return first


PLUGIN = InContext
