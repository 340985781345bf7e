"""Confusion matrix: how often queries of each class were given each class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.results.predictions import ClassPredictions

MOST_CLASSES = 15
"""Largest number of classes of a matrix in a text; of more classes, the most frequent confusions are listed."""


@dataclass(frozen=True)
class Confusion:
    """Answers by right and predicted class, over all episodes and seeds.

    Attributes:
        classes: Names of the classes.
        counts: ``[true, predicted]`` numbers of answers.
    """

    classes: tuple[str, ...]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, found: Sequence[ClassPredictions], order: Sequence[str] = ()) -> "Confusion | None":
        """Count the answers of some runs.

        Args:
            found: Their predictions.
            order: Names of classes in the order of the matrix; names that are missing follow in alphabetical order.

        Returns:
            The matrix; None without predictions.
        """
        if not found:
            return None
        names = {name for each in found for name in each.classes}
        classes = [*(name for name in order if name in names), *sorted(names - set(order))]
        place = {name: number for number, name in enumerate(classes)}
        counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
        for each in found:
            own = np.array([place[name] for name in each.classes])
            np.add.at(counts, (own[each.true], own[each.predicted]), 1)
        return cls(tuple(classes), counts)

    def sparse(self) -> list[list[int]]:
        """Right class, predicted class and answers, where there are any."""
        return [[int(t), int(p), int(self.counts[t, p])] for t, p in np.argwhere(self.counts)]

    def pairs(self) -> list[tuple[str, str, int, int]]:
        """Confused pairs, the most frequent first: right class, predicted class, answers, all of the right class."""
        totals = self.counts.sum(axis=1)
        wrong = self.counts - np.diag(np.diag(self.counts))
        order = np.argsort(-wrong, axis=None, kind="stable")
        places = [divmod(int(place), len(self.classes)) for place in order[: int((wrong > 0).sum())]]
        return [(self.classes[t], self.classes[p], int(wrong[t, p]), int(totals[t])) for t, p in places]
