"""Lexicon: sentiment of single words, 5,547 with ratings by people, half of each class for support."""

from pathlib import Path

import numpy as np
from datasets import Dataset

from bench.contracts import DataError, Kind, Pool, Protocol, Task, TaskData
from bench.toolkit.files import file_hash, package_file, text_hash
from bench.toolkit.splits import stratified_halves
from tasks._texts import CONTENT_FREE

SPLIT_SEED = 0
TEMPLATE = "Word: {text}\nSentiment:"
MIN_LETTERS = 3
MIN_RATING = 1.0  # on the lexicon's scale of -4 to 4; nearer to 0 the raters did not agree on a sign


def rated_words(path: Path) -> dict[str, float]:
    """Mean rating of every word in use, in the order of the lexicon.

    A word with several entries, in any case, counts once and with its first rating, so that it cannot be in both pools.

    Args:
        path: The lexicon.

    Returns:
        Ratings by word.

    Raises:
        DataError: If the file is not a lexicon.
    """
    words: dict[str, float] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        word, _, rest = line.partition("\t")
        try:
            rating = float(rest.partition("\t")[0])
        except ValueError:
            raise DataError(f"line {number} of {path} needs a word, a tab and a rating, got {line[:60]!r}") from None
        if word.isalpha() and len(word) >= MIN_LETTERS and abs(rating) >= MIN_RATING:
            words.setdefault(word.casefold(), rating)
    return words


class Lexicon(Task):
    """Two-way sentiment of single words; the answer completes the prompt."""

    kind = Kind.TEXT_CLASSIFICATION
    content_free = tuple(TEMPLATE.format(text=text) for text in CONTENT_FREE)
    templates = (
        "Word: {text}\nSentiment:",
        "Word: {text}\nAnswer:",
        'Question: Is the word "{text}" positive or negative?\nAnswer:',
        'The sentiment of the word "{text}" is',
        "{text}:",
    )
    protocol = Protocol(episodes=3, queries=50)
    size = "2,774 support and 2,773 query words of 2 classes"
    citation = "Hutto & Gilbert, VADER, ICWSM 2014 (MIT licence), package vaderSentiment"

    def load(self, data: Path | None) -> TaskData:
        """Make a prompt for every word.

        Args:
            data: Unused; the lexicon is part of a package.

        Returns:
            Halves of each class.
        """
        path = package_file("vaderSentiment", "vader_lexicon.txt", "vaderSentiment")
        words = rated_words(path)
        prompts = np.array([TEMPLATE.format(text=word) for word in words])
        labels = np.array([int(rating > 0) for rating in words.values()])
        support, query = (
            Pool(Dataset.from_dict({"input": prompts[half].tolist()}), labels[half])
            for half in stratified_halves(labels, SPLIT_SEED)
        )
        return TaskData(support, query, (" negative", " positive"), text_hash(file_hash(path), str(SPLIT_SEED)))


PLUGIN = Lexicon
