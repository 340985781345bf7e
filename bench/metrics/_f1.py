"""F1 of the parts of written answers, summed over queries."""

from abc import abstractmethod

import numpy as np

from bench.contracts.kinds import Kind
from bench.contracts.metric import EpisodePredictions, Metric
from bench.stats.intervals import Floats

Counts = tuple[int, int, int]
"""Right parts of an answer, all of its parts, and all parts of the reference."""


class F1(Metric):
    """Micro-averaged F1 in percent: ``2 correct / (predicted + labelled)``, each summed over queries.

    Of several references, the one with the best F1 of this answer counts. A subclass counts parts.
    """

    unit = "%"
    decimals = 1
    bounds = (0.0, 100.0)
    kinds = frozenset({Kind.TEXT_GENERATION})
    fields = {"correct": "int64", "predicted": "int64", "labelled": "int64"}  # noqa: RUF012

    @abstractmethod
    def counts(self, text: str, reference: str, answer_set: tuple[str, ...]) -> Counts:
        """Parts of one answer.

        Args:
            text: The written answer.
            reference: A reference text.
            answer_set: Known parts; empty where any is.

        Returns:
            Right parts, parts of the answer, and parts of the reference.
        """

    def query_values(self, episode: EpisodePredictions) -> Floats:
        """Right, predicted and labelled parts, ``[query, 3]``."""
        found = [
            max((self.counts(text, each, episode.answer_set) for each in references), key=_f1)
            for text, references in episode.written
        ]
        return np.array(found, dtype=np.float64)

    def score(self, sums: Floats) -> Floats:
        """F1 in percent; 0 where there is no part at all."""
        return np.asarray(200 * sums[..., 0] / np.maximum(sums[..., 1] + sums[..., 2], 1))


def _f1(counts: Counts) -> float:
    correct, predicted, labelled = counts
    return 2 * correct / max(predicted + labelled, 1)
