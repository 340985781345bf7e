"""Perplexity per word as defined by lm-evaluation-harness: every word counts, and every token is scored."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.contracts.metric import EpisodePredictions
from bench.metrics.perplexity import Perplexity
from bench.stats.intervals import Floats


class WordPerplexity(Perplexity):
    """``exp(nll / words)`` over an episode's texts together, words being what white space parts.

    It needs the windows of ``stride="rolling"``, in which the first token of a text is scored too, given the token that
    begins texts, and the first of each further window given the token before it.
    """

    title = "perplexity per word"
    fields = {"nll": "float64", "tokens": "int64", "words": "int64"}  # noqa: RUF012

    def query_values(self, episode: EpisodePredictions) -> Floats:
        """Negative log-likelihood in nats, number of tokens, and number of words of each text: ``[query, 3]``.

        Returns:
            ``[query, 3]``.

        Raises:
            NumericalError: A likelihood is not finite.
        """
        words = np.array([len(re.split(r"\s+", text)) for text in episode.texts], dtype=np.float64)
        return np.column_stack([super().query_values(episode), words])

    def score(self, sums: Floats) -> Floats:
        """``exp(nll / words)``."""
        return np.asarray(np.exp(sums[..., 0] / sums[..., 2]))

    def notes(self, episodes: Sequence[EpisodePredictions], values: Sequence[Floats]) -> dict[str, Any]:
        """Numbers of tokens and words, and the perplexity per token in the same windows."""
        nll, tokens, words = np.concatenate(values).sum(axis=0)
        return {"scored_tokens": int(tokens), "words": int(words), "token_perplexity": float(np.exp(nll / tokens))}


PLUGIN = WordPerplexity
