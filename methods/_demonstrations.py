"""Demonstrations: support items as texts before a query, in an order, as many as fit."""

from collections.abc import Sequence

import torch

from bench.contracts import Backbone, Kind, LanguageBackbone, ProblemShape, Support, UsageError
from bench.toolkit.hidden_states import whole_texts

PARTS = 5
"""Most parts of the support items that are left out one after the other."""


class Demonstrations:
    """The support items of one episode as texts that can stand before a query.

    Attributes:
        texts: Each prompt with its answer and the separator.
        prompts: The prompts alone.
        labels: Their classes.
        tokens: Tokens that one more of each takes; empty until ``count_tokens``.
        names: The answers of a classification.
    """

    def __init__(self, backbone: Backbone, shape: ProblemShape, method: str) -> None:
        """No demonstrations yet.

        Args:
            backbone: The model that reads them.
            shape: Sizes and settings of the problem.
            method: Name of the method, for messages.

        Raises:
            UsageError: If the backbone is no language model.
        """
        if not isinstance(backbone, LanguageBackbone):
            raise UsageError(
                f"{method} needs a language model, got {type(backbone).__name__}; choose a language backbone"
            )
        self.backbone, self.shape = backbone, shape
        self.texts: list[str] = []
        self.prompts: list[str] = []
        self.labels: list[int] = []
        self.tokens: list[int] = []
        self.names: Sequence[str] = ()

    def add(self, support: Support) -> None:
        """Write a batch's items out as demonstrations, each ended by the separator."""
        self.texts += whole_texts(support, self.shape)
        self.prompts += support.inputs.episode(0)
        self.labels += support.labels[0][support.mask[0]].tolist()
        self.names = support.classes.names[0]

    def count_tokens(self) -> None:
        """Count what one more of each demonstration takes."""
        count = self.backbone.count_tokens
        # Alone it would also count what begins a text, such as a system message.
        twice = count([text * 2 for text in self.texts])
        self.tokens = [both - one for both, one in zip(twice, count(self.texts), strict=True)]

    def arranged(self, items: Sequence[int], generator: torch.Generator, rounds: bool = True) -> list[int]:
        """The items in a random order, and if wanted in rounds of one of each class, the incomplete rounds first."""
        items = sorted(items)
        shuffled = [items[place] for place in torch.randperm(len(items), generator=generator).tolist()]
        if not rounds:
            return shuffled
        met: dict[int, int] = {}
        numbers = []
        for item in shuffled:
            numbers.append(met.setdefault(self.labels[item], 0))
            met[self.labels[item]] += 1
        return [shuffled[place] for place in sorted(range(len(shuffled)), key=lambda place: -numbers[place])]

    def within_limits(self, order: Sequence[int], tokens: int | None = None) -> list[int]:
        """The last of the demonstrations in an order that the model's context and the budget leave room for.

        Args:
            order: The demonstrations in order.
            tokens: Largest number of tokens besides the model's context length; None for any.

        Returns:
            The end of the order.
        """
        room = self.backbone.context_length
        first = first_that_fits([self.tokens[item] for item in order], room if tokens is None else min(room, tokens))
        return self.within_state(order[first:])

    def within_state(self, order: Sequence[int], bytes_each: int = 0) -> list[int]:
        """The last of the demonstrations in an order that the budget leaves room to store.

        Args:
            order: The demonstrations in order.
            bytes_each: What is stored of each besides its text.

        Returns:
            The end of the order.
        """
        if self.shape.limits.state_bytes is None:
            return list(order)
        sizes = [self.size(item) + bytes_each for item in order]
        return list(order[first_that_fits(sizes, self.shape.limits.state_bytes) :])

    def size(self, item: int) -> int:
        """Bytes of a demonstration as UTF-8 text."""
        return len(self.texts[item].encode())

    def longest_answer(self, names: Sequence[str]) -> int:
        """Tokens that an answer may take."""
        if self.shape.kind is Kind.TEXT_GENERATION:
            return self.shape.protocol.max_new_tokens
        return max(self.backbone.count_tokens(names))

    def room(self, answer: int) -> int:
        """Tokens that the model's context leaves for demonstrations and a prompt, beside the task's instruction.

        Args:
            answer: Tokens of the longest answer.

        Returns:
            Their number; below 0 where there is none.
        """
        instruction = self.shape.protocol.instructed()
        taken = self.backbone.count_tokens([instruction])[0] if instruction else 0
        return self.backbone.context_length - answer - taken

    def context(self, order: Sequence[int], prompts: Sequence[str], answer: int) -> tuple[str, int]:
        """The demonstrations that fit before every one of the prompts with such an answer, and their number.

        Args:
            order: The demonstrations in order.
            prompts: The prompts.
            answer: Tokens of the longest answer.

        Returns:
            Their texts joined, and how many they are.
        """
        count = self.backbone.count_tokens
        texts = [self.texts[item] for item in order]
        room = self.room(answer)
        length, longest = max(zip(count(prompts), prompts, strict=True))
        first = first_that_fits([self.tokens[item] for item in order], room - length)
        context = "".join(texts[first:])
        # Parts tokenised together may count otherwise than the sum of the parts.
        while context and count([context + longest])[0] > room:
            first += 1
            context = "".join(texts[first:])
        return context, len(texts) - first


def first_that_fits(sizes: list[int], room: int) -> int:
    """Least index from which on all sizes together are at most ``room``."""
    first = len(sizes)
    while first > 0 and sizes[first - 1] <= room:
        first -= 1
        room -= sizes[first]
    return first


def parts_of(order: Sequence[int], count: int = PARTS) -> list[Sequence[int]]:
    """Parts of items that stand in rounds of one of each class: neighbours, so that each part is about balanced.

    Args:
        order: The items.
        count: Number of parts, at most.

    Returns:
        The parts; none of no items.
    """
    size = max(1, -(-len(order) // count))
    return [order[start : start + size] for start in range(0, len(order), size)]
