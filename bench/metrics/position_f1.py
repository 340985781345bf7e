"""Micro-averaged F1 of a list of labels, compared position by position."""

from bench.metrics._f1 import F1, Counts
from bench.metrics.exact_match import first_line


class PositionF1(F1):
    """F1 in percent of the labels between commas of the first line: each is compared with the reference's at its place.

    A written label is right if it contains the reference's. Where the task has an answer set, a written label counts as
    predicted if it contains one of the set. LongICLBench scores DialogRE so (Li et al. 2024, arXiv 2404.02060).
    """

    title = "F1 by position"

    def counts(self, text: str, reference: str, answer_set: tuple[str, ...]) -> Counts:
        """Labels that are right at their places, known labels of the answer, and labels of the reference."""
        written, wanted = labels(text), labels(reference)
        known = sum(any(each in label for each in answer_set) if answer_set else bool(label) for label in written)
        correct = sum(one in other for one, other in zip(wanted, written, strict=False))
        return correct, known, len(wanted)


def labels(text: str) -> list[str]:
    """The labels of a text.

    Args:
        text: Labels with commas between them.

    Returns:
        The labels of the first line.
    """
    return [label.strip() for label in first_line(text).split(",")]


PLUGIN = PositionF1
