"""BM25: scores of texts for a query by the words that they share (Robertson and Zaragoza 2009)."""

from collections import Counter
from collections.abc import Sequence

import numpy as np


def words(text: str) -> list[str]:
    """The words of a text in lower case, parted by white space."""
    return text.lower().split()


class Bm25:
    """Texts that are scored for queries.

    A text with ``tf`` occurrences of a query's word scores ``idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * length /
    mean length))`` for it, where ``idf = ln(1 + (n - df + 1/2) / (df + 1/2))`` for a word that ``df`` of n texts have.
    """

    def __init__(self, texts: Sequence[str], k1: float = 1.5, b: float = 0.75) -> None:
        counts = [Counter(words(text)) for text in texts]
        lengths = np.array([count.total() for count in counts], dtype=np.float64)
        self._count = len(texts)
        norms = k1 * (1 - b + b * lengths / max(1.0, lengths.mean() if len(lengths) else 0.0))
        found: dict[str, list[tuple[int, int]]] = {}
        for place, count in enumerate(counts):
            for word, times in count.items():
                found.setdefault(word, []).append((place, times))
        self._weights: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for word, pairs in found.items():
            places, times = np.array(pairs).T
            idf = np.log(1 + (self._count - len(places) + 0.5) / (len(places) + 0.5))
            self._weights[word] = (places, idf * times * (k1 + 1) / (times + norms[places]))

    def scores(self, query: str) -> np.ndarray:
        """Scores of all texts.

        Args:
            query: The query; a word counts as often as it occurs.

        Returns:
            ``[text]``, float64; 0 where no word is shared.
        """
        found = np.zeros(self._count)
        for word in words(query):
            if word in self._weights:
                places, weights = self._weights[word]
                found[places] += weights
        return found
