"""Micro-averaged F1 of one label for each query, of which a text outside the answer set is no prediction."""

from bench.metrics._f1 import F1, Counts
from bench.metrics.exact_match import first_line


class LabelF1(F1):
    """F1 in percent of the first line: right if it equals the reference's, predicted if it is in the answer set.

    LongICLBench scores TacRED so (Li et al. 2024, arXiv 2404.02060).
    """

    title = "F1 of labels"

    def counts(self, text: str, reference: str, answer_set: tuple[str, ...]) -> Counts:
        """Whether the label is right, whether it is a known one, and 1."""
        label = first_line(text)
        known = label in answer_set if answer_set else bool(label)
        return int(label == first_line(reference)), int(known), 1


PLUGIN = LabelF1
