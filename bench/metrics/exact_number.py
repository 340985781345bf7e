"""Share of written solutions whose number is that of a reference text."""

import re

from bench.metrics.exact_match import ExactMatch

MARK = "####"
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")


class ExactNumber(ExactMatch):
    """Exact match in percent of the final number: the one after the last ``####``, or else the last one of the text.

    Thousands' commas and zeros after the decimal point change nothing. Solutions of GSM8K end with ``#### number``
    (Cobbe et al. 2021, arXiv 2110.14168).
    """

    title = "exact match of the number"

    def normal(self, text: str) -> str:
        """The final number in its shortest form; of a text without one, the first line in lower case."""
        _, mark, ending = text.rpartition(MARK)
        numbers = NUMBER.findall(ending if mark else text)
        if not numbers:
            return super().normal(text)
        number = float((numbers[0] if mark else numbers[-1]).replace(",", ""))
        return repr(number + 0.0)


PLUGIN = ExactNumber
