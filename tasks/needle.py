"""Needle: one fact in a long text, to be recalled at its end; made by a seeded generator."""

from pathlib import Path
from typing import ClassVar

import numpy as np
from datasets import Dataset

from bench.contracts import Kind, Pool, Protocol, Task, TaskData, UsageError
from bench.toolkit.files import text_hash

SEED = 42
ITEMS = 200
TOKENS_PER_WORD = 1.4
NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
NEEDLE = "One of the special magic words for {key} is: {value}."
BEFORE = (
    "A special magic word is hidden within the following text. Make sure to memorize it. I will quiz you about the "
    "word afterwards."
)
AFTER = (
    "What is the special magic word for {key} mentioned in the provided text? The special magic word for {key} "
    "mentioned in the provided text is"
)
DEPTHS = tuple(range(5, 100, 10))
"""Depths of the needle in percent of the lines before the last APART words."""
APART = 105
"""Fewest words between needle and question: with the question's 25, a chunk of 128 tokens does not hold both."""
VALUES = (
    "apple", "river", "table", "horse", "paper", "stone", "music", "bread", "chair", "cloud", "glass", "light",
    "mouse", "ocean", "plant", "queen", "sugar", "train", "water", "window",
)  # fmt: skip
ADJECTIVES = (
    "brave", "calm", "clever", "eager", "fancy", "gentle", "happy", "jolly", "kind", "lively", "nice", "proud",
    "quick", "quiet", "shiny", "silly", "smart", "tall", "wild", "young",
)  # fmt: skip
NOUNS = (
    "actor", "baker", "banker", "boxer", "captain", "carpenter", "chef", "clerk", "coach", "dancer", "dentist",
    "doctor", "driver", "farmer", "guard", "hunter", "judge", "lawyer", "miner", "nurse", "painter", "pilot", "poet",
    "sailor", "singer", "soldier", "student", "tailor", "teacher", "writer",
)  # fmt: skip
KEYS = tuple(f"{adjective}-{noun}" for adjective in ADJECTIVES for noun in NOUNS)


class Needle(Task):
    """Recall of a word in a long text: the key's value is one of 20 nouns, so that chance is 5%.

    Prompts are RULER's (arXiv 2404.06654), single and with words for values. The length is that of the text in tokens,
    at 1.4 tokens per word, so that all models read the same texts. The haystack is five sentences over and over, or
    with ``needles`` other needles with other keys. With ``removed`` the needle is missing: its answers cannot be known,
    and a method above 5% there has found a leak. Needles stand at ten depths in turn, 105 words or more before the
    question, so that what reads chunks of up to 128 tokens alone does not find both in one. Keys of the support pool
    are not those of the query pool.
    """

    variants: ClassVar = {
        "512": "512 tokens of noise",
        "1024": "1,024 tokens of noise",
        "2048": "2,048 tokens of noise",
        "4096": "4,096 tokens of noise",
        "512-needles": "512 tokens of other needles",
        "1024-needles": "1,024 tokens of other needles",
        "2048-needles": "2,048 tokens of other needles",
        "4096-needles": "4,096 tokens of other needles",
        "512-removed": "a control without the needle: 512 tokens of noise",
        "1024-removed": "a control without the needle: 1,024 tokens of noise",
        "2048-removed": "a control without the needle: 2,048 tokens of noise",
        "4096-removed": "a control without the needle: 4,096 tokens of noise",
    }
    kind = Kind.TEXT_CLASSIFICATION
    separator = "\n\n"
    protocol = Protocol(episodes=1, queries=3)
    size = "200 support and 200 query prompts of 20 classes"
    citation = "Made by this project; prompts of Hsieh et al. 2024, RULER, arXiv 2404.06654 (Apache-2.0)"

    def __init__(self, variant: str = "512") -> None:
        """Choose the text.

        Args:
            variant: Length in tokens, with ``-needles`` for another haystack or ``-removed`` for no needle.

        Raises:
            UsageError: If there is no such variant.
        """
        if variant not in self.variants:
            raise UsageError(f"needle needs one of {', '.join(self.variants)}, got {variant}")
        length, _, self._form = variant.partition("-")
        self._variant, self._words = variant, round(int(length) / TOKENS_PER_WORD)

    def load(self, data: Path | None) -> TaskData:
        """Make the prompts.

        Args:
            data: Unused; the texts are made here.

        Returns:
            200 prompts for support and 200 for queries, ten of each value in each.
        """
        rng = np.random.default_rng([SEED, *self._variant.encode()])
        keys = rng.permutation(KEYS)
        pools = []
        for part in (keys[: len(keys) // 2], keys[len(keys) // 2 :]):
            labels = np.arange(ITEMS) % len(VALUES)
            prompts = [
                self._prompt(str(part[item]), VALUES[label], DEPTHS[item // len(VALUES)], rng)
                for item, label in enumerate(labels)
            ]
            pools.append(Pool(Dataset.from_dict({"input": prompts}), labels))
        texts = [text for pool in pools for text in pool.inputs["input"]]
        revision = f"{self._words} words; {text_hash(*texts)}"
        return TaskData(pools[0], pools[1], tuple(f" {value}" for value in VALUES), revision)

    def _prompt(self, key: str, value: str, depth: int, rng: np.random.Generator) -> str:
        before, after = BEFORE, AFTER.format(key=key)
        left = self._words - len(f"{before} {after}".split())
        needle = NEEDLE.format(key=key, value=value)
        if self._form == "needles":
            others = [other for other in rng.permutation(KEYS).tolist() if other != key]
            count = max(1, left // len(needle.split()) - 1)
            drawn = rng.integers(len(VALUES), size=count)
            lines = [
                NEEDLE.format(key=others[place % len(others)], value=VALUES[drawn[place]]) for place in range(count)
            ]
        else:
            lines = [NOISE] * max(1, (left - len(needle.split())) // len(NOISE.split()))
        if self._form != "removed":
            apart = -(-APART // len(lines[0].split()))
            lines.insert(round(depth / 100 * max(0, len(lines) - apart)), needle)
        return "\n".join([before, *lines, after])


PLUGIN = Needle
