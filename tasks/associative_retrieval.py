"""Associative retrieval: the digit beside a letter of the prompt, among 4, 8 or 16 pairs of letters and digits."""

from pathlib import Path
from string import ascii_lowercase, digits
from typing import ClassVar

import numpy as np
from datasets import Dataset

from bench.contracts import Kind, Pool, Protocol, Task, TaskData
from bench.toolkit.files import text_hash

POOLED = 2000
"""Prompts of each pool."""
SEED = 0


class AssociativeRetrieval(Task):
    """Prompts such as ``c 9 k 8 j 3 f 1 ? ? c``, which `` 9`` completes; each prompt has pairs of its own.

    Letters of a prompt are distinct, digits are drawn with replacement, and the letter at the end is any of them.
    Symbols are parted by spaces so that a tokenizer reads each by itself. What answers is what reads the prompt:
    examples show the form alone, since no pair of one prompt holds in another. ``notes`` have the share of right
    answers by naming the digit of a random pair of the prompt, which needs no retrieval; chance is 10%.

    The paper trains recurrent networks on 100,000 strings of 4 pairs; ``examples/fast_weights_rnn.py`` does so.
    """

    variants: ClassVar = {
        "4": "4 pairs, as in the paper; the default",
        "8": "8 pairs",
        "16": "16 pairs",
    }
    kind = Kind.TEXT_CLASSIFICATION
    templates = (
        "{text}",
        "Each letter has the digit that stands after it.\n{text}",
        "Look up the digit of the last letter: {text}",
    )
    protocol = Protocol(episodes=3, queries=10)
    size = "2,000 support and 2,000 query prompts of 10 classes"
    citation = "made up; Ba et al. 2016, Using Fast Weights to Attend to the Recent Past, arXiv 1610.06258, section 4.1"

    def __init__(self, pairs: str = "4") -> None:
        """Choose the number of pairs.

        Args:
            pairs: One of ``variants``.
        """
        self.pairs = int(pairs)

    def load(self, data: Path | None) -> TaskData:
        """Draw the prompts; none is in both pools.

        Args:
            data: Unused; the prompts are made up.

        Returns:
            Both pools.
        """
        generator = np.random.default_rng([SEED, self.pairs])
        drawn = dict[str, tuple[int, float]]()
        while len(drawn) < 2 * POOLED:
            drawn |= _drawn(generator, 2 * POOLED - len(drawn), self.pairs)
        prompts, labels = list(drawn), np.array([answer for answer, _ in drawn.values()])
        parts = (slice(0, POOLED), slice(POOLED, None))
        support, query = (Pool(Dataset.from_dict({"input": prompts[part]}), labels[part]) for part in parts)
        naming = np.mean([named for _, named in list(drawn.values())[POOLED:]])
        return TaskData(
            support,
            query,
            tuple(f" {digit}" for digit in digits),
            text_hash(*prompts),
            (f"naming the digit of a random pair of the prompt is right {naming:.1%} of the time, chance is 10%",),
        )


def _drawn(generator: np.random.Generator, count: int, pairs: int) -> dict[str, tuple[int, float]]:
    """Prompts with their answers, and the share of a prompt's pairs that have its answer."""
    letters = generator.random((count, len(ascii_lowercase))).argsort(axis=1)[:, :pairs].tolist()
    values = generator.integers(len(digits), size=(count, pairs)).tolist()
    found = {}
    for names, numbers, place in zip(letters, values, generator.integers(pairs, size=count).tolist(), strict=True):
        symbols = [f"{ascii_lowercase[name]} {number}" for name, number in zip(names, numbers, strict=True)]
        prompt = " ".join([*symbols, "? ?", ascii_lowercase[names[place]]])
        found[prompt] = numbers[place], numbers.count(numbers[place]) / pairs
    return found


PLUGIN = AssociativeRetrieval
