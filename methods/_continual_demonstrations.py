"""Demonstrations of all support sets so far, for methods that read them before a query, and what is taken out."""

from typing import Any

from bench.contracts import Removing, Support
from methods._demonstrations import Demonstrations


class LastingDemonstrations(Removing):
    """Base of methods that arrange their demonstrations anew whenever they solve."""

    _given: Demonstrations
    notes: dict[str, Any]

    def continue_adapt(self) -> None:
        """Nothing to prepare: the demonstrations stayed."""
        return

    def solve(self) -> None:
        """Arrange the demonstrations of all support sets; how many fit before a query is counted anew."""
        self.notes.pop("demonstrations_kept", None)
        super().solve()  # type: ignore[misc]

    def forget(self, support: Support) -> None:
        """Drop the demonstrations of a support set; of equal ones those that came last."""
        given = self._given
        gone = Demonstrations(given.backbone, given.shape, type(self).__name__)
        gone.add(support)
        items = list(zip(given.texts, given.prompts, given.labels, strict=True))
        for item in zip(gone.texts, gone.prompts, gone.labels, strict=True):
            if item in items:
                del items[len(items) - 1 - items[::-1].index(item)]
        given.texts = [text for text, _, _ in items]
        given.prompts = [prompt for _, prompt, _ in items]
        given.labels = [label for _, _, label in items]
