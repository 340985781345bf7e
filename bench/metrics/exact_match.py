"""Share of written answers that equal a reference text, in any case of letters."""

import numpy as np

from bench.contracts.kinds import Kind
from bench.contracts.metric import EpisodePredictions
from bench.metrics.accuracy import Accuracy
from bench.stats.intervals import Floats


class ExactMatch(Accuracy):
    """Exact match in percent: the first line in lower case equals that of a reference text.

    LongICLBench scores GoEmotion and BANKING77 so (Li et al. 2024, arXiv 2404.02060).
    """

    title = "exact match"
    kinds = frozenset({Kind.TEXT_GENERATION})

    def query_values(self, episode: EpisodePredictions) -> Floats:
        """1 for an answer that equals a reference, 0 for another one: ``[query, 1]``."""
        right = [
            self.normal(text) in {self.normal(reference) for reference in references}
            for text, references in episode.written
        ]
        return np.array(right, dtype=np.float64)[:, None]

    def normal(self, text: str) -> str:
        """What is compared of a text.

        Args:
            text: A written answer or a reference text.

        Returns:
            Its first line in lower case, without white space around it.
        """
        return first_line(text).lower()


def first_line(text: str) -> str:
    """The first line of a text.

    Args:
        text: Any text.

    Returns:
        The line, without white space around it; line breaks before it are skipped.
    """
    return text.strip().partition("\n")[0].strip()


PLUGIN = ExactMatch
