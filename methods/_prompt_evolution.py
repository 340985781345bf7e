"""Evolution of prompts on a set of labelled items: instructions and demonstrations, with the rules of GEPA."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch

from methods._pareto import parent_weights, undominated_fronts

MINIBATCH = 3
"""Items that a child is compared with its parent on."""
BANK = (
    "", "Choose the right label.", "Answer with one label.", "Read the text, then give its label.",
    "Label the text as in the examples.", "Decide carefully which label fits best.",
    "Which label would most people choose?", "Labels may not mean what they say; follow the examples.",
    "First think of the topic, then answer.", "Be brief.", "Consider the whole text, not single words.",
    "The label follows the colon.",
)  # fmt: skip
"""Instructions without a reflection model."""


@dataclass(frozen=True)
class Prompt:
    """A candidate.

    Attributes:
        instruction: Text before everything else; empty for none.
        demonstrations: Numbers of labelled items that stand before a query, the oldest first.
    """

    instruction: str = ""
    demonstrations: tuple[int, ...] = ()


@dataclass(frozen=True)
class Graded:
    """Scores of a prompt on some items.

    Attributes:
        right: ``[item]``, 1 where the likeliest answer is right, else 0.
        log_probability: Mean log-probability of the right answers, which breaks ties.
    """

    right: tuple[float, ...]
    log_probability: float

    @property
    def rank(self) -> tuple[float, float]:
        """Sort key, larger for better prompts."""
        return sum(self.right), self.log_probability


Grade = Callable[[Prompt, Sequence[int]], Graded]
"""Function from a prompt and items to scores."""
Reflect = Callable[[str, Sequence[int]], str]
"""Function from an instruction and failed items to another instruction."""


@dataclass
class Operators:
    """Changes of a prompt without a reflection model, or with one that writes instructions.

    Attributes:
        most: Most demonstrations of a prompt.
        instructs: Whether prompts may have an instruction.
        generator: Random numbers.
        reflect: The reflection model; None for instructions from ``BANK``.
    """

    most: int
    instructs: bool
    generator: torch.Generator
    reflect: Reflect | None = None

    def child(self, parent: Prompt, failed: Sequence[int]) -> Prompt:
        """A changed prompt: 0.4 a failed item is appended as a demonstration, 0.2 it replaces one, 0.1 two are swapped,
        0.3 another instruction.

        Args:
            parent: The prompt.
            failed: Items that it answers wrongly, one or more.

        Returns:
            The child; the parent itself where no change is possible.
        """
        shown, item = parent.demonstrations, failed[0]
        draw = float(torch.rand((), generator=self.generator))
        if self.instructs and (draw >= 0.7 or self.most == 0):
            return replace(parent, instruction=self._instruction(parent.instruction, failed))
        if self.most == 0:
            return parent
        if draw >= 0.6 and len(shown) > 1:
            first, second = torch.randperm(len(shown), generator=self.generator)[:2].tolist()
            swapped = list(shown)
            swapped[first], swapped[second] = swapped[second], swapped[first]
            return replace(parent, demonstrations=tuple(swapped))
        others = [each for each in shown if each != item]
        if 0.4 <= draw < 0.6 and others:
            others[self._below(len(others))] = item
            return replace(parent, demonstrations=tuple(others))
        return replace(parent, demonstrations=(*others, item)[-self.most :])

    def _instruction(self, present: str, failed: Sequence[int]) -> str:
        if self.reflect is not None:
            return self.reflect(present, failed)
        others = [text for text in BANK if text != present]
        return others[self._below(len(others))]

    def _below(self, number: int) -> int:
        return int(torch.randint(number, (), generator=self.generator))


@dataclass
class Evolution:
    """A population of prompts.

    Attributes:
        size: Prompts that a cycle leaves.
        grade: Scores prompts on items.
        operators: Changes prompts.
        population: The prompts, the best first; at first the seed, which is empty.
        calls: Prompts scored on one item, so far.
    """

    size: int
    grade: Grade
    operators: Operators
    population: list[Prompt] = field(default_factory=lambda: [Prompt()])
    calls: int = 0

    def cycle(self, anchor: Sequence[int], calls: int) -> float:
        """Score the population anew, let it evolve, and keep the best of its Pareto front.

        Args:
            anchor: The items that prompts are scored on; minibatches are drawn from them.
            calls: Most scores of a prompt on an item, besides those of the population.

        Returns:
            Share of right answers of the best prompt.
        """
        prompts = list(self.population)
        grades = [self._graded(prompt, anchor) for prompt in prompts]
        limit = self.calls + calls
        size = min(MINIBATCH, len(anchor))
        while self.calls + size + len(anchor) <= limit:
            parent = self._parent([grade.right for grade in grades])
            places = torch.randperm(len(anchor), generator=self.operators.generator)[:size].tolist()
            of_parent = [grades[parent].right[place] for place in places]
            failed = [anchor[place] for place, right in zip(places, of_parent, strict=True) if not right]
            child = self.operators.child(prompts[parent], failed) if failed else prompts[parent]
            if child in prompts:
                self.calls += size  # the search ends, however often nothing can be improved
                continue
            of_child = self._graded(child, [anchor[place] for place in places])
            if sum(of_child.right) > sum(of_parent):
                prompts.append(child)
                grades.append(self._graded(child, anchor))
        front = {candidate for each in undominated_fronts([grade.right for grade in grades]) for candidate in each}
        kept = sorted(front, key=lambda candidate: grades[candidate].rank, reverse=True)[: self.size]
        self.population = [prompts[candidate] for candidate in kept]
        return sum(grades[kept[0]].right) / max(1, len(anchor))

    def best(self, items: Sequence[int]) -> Prompt:
        """The prompt of the population that is best on some items; the first one where there are none."""
        if not items or len(self.population) == 1:
            return self.population[0]
        return max(self.population, key=lambda prompt: self._graded(prompt, items).rank)

    def _graded(self, prompt: Prompt, items: Sequence[int]) -> Graded:
        self.calls += len(items)
        return self.grade(prompt, items)

    def _parent(self, scores: Sequence[Sequence[float]]) -> int:
        weights = parent_weights(scores)
        places = torch.tensor(list(weights.values()), dtype=torch.double)
        return list(weights)[int(torch.multinomial(places, 1, generator=self.operators.generator))]
