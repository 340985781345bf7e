"""Share of written answers that equal a reference text but for case and some punctuation."""

import re

from bench.metrics.exact_match import ExactMatch

PUNCTUATION = re.compile(r'[“”,."]')


class ExactWords(ExactMatch):
    """Exact match in percent, of first lines in lower case without quotation marks, commas and full stops.

    LongICLBench scores Discovery so, whose labels end with a comma (Li et al. 2024, arXiv 2404.02060).
    """

    title = "exact match of words"

    def normal(self, text: str) -> str:
        """The first line in lower case, without these signs and white space around it."""
        return PUNCTUATION.sub("", super().normal(text)).strip()


PLUGIN = ExactWords
