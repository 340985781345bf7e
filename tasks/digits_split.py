"""Digits split: the embedded digits in two tasks of five classes, to learn one after the other."""

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from bench.contracts import Kind, Pool, Protocol, Task, TaskData
from bench.toolkit.files import text_hash
from tasks.digits import Digits

FIVE = 5


class DigitsSplit(Task):
    """Five-way classification of one half of the digits, as Split MNIST has it with pairs."""

    variants: ClassVar = {"0-4": "the digits 0 to 4", "5-9": "the digits 5 to 9"}
    kind = Kind.IMAGE_CLASSIFICATION
    prompts = Digits.prompts
    prior_strength = 0.0
    protocol = Protocol(episodes=50, queries=20)
    size = "452 support and 449 query images of 5 classes in 0-4, 449 and 447 in 5-9"
    citation = f"{Digits.citation}; split as in Zenke et al. 2017, arXiv 1703.04200"

    def __init__(self, digits: Literal["0-4", "5-9"]) -> None:
        """Choose a half.

        Args:
            digits: The digits.
        """
        self.digits, self.first = digits, int(digits[0])

    def load(self, data: Path | None) -> TaskData:
        """Read the digits of this half.

        Args:
            data: Unused; the images are part of scikit-learn.

        Returns:
            Halves of each class for support and query.
        """
        whole = Digits().load(data)
        chosen = range(self.first, self.first + FIVE)

        def own(pool: Pool) -> Pool:
            rows = np.flatnonzero((pool.labels >= chosen.start) & (pool.labels < chosen.stop))
            return Pool(pool.inputs.select(rows), pool.labels[rows] - chosen.start)

        names = tuple(whole.classes[digit] for digit in chosen)
        return TaskData(own(whole.support), own(whole.query), names, text_hash(whole.revision, self.digits))


PLUGIN = DigitsSplit
