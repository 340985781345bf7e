"""Perplexity per token: the exponential of the mean negative log-likelihood."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.contracts.errors import NumericalError
from bench.contracts.kinds import Kind
from bench.contracts.metric import EpisodePredictions, Metric
from bench.stats.intervals import Floats


class Perplexity(Metric):
    """Perplexity over all scored tokens of an episode's texts together, not a mean over texts."""

    title = "perplexity per token"
    higher_is_better = False
    bounds = (1.0, math.inf)
    log_scale = True
    kinds = frozenset({Kind.LANGUAGE_MODELLING})
    fields = {"nll": "float64", "tokens": "int64"}  # noqa: RUF012

    def query_values(self, episode: EpisodePredictions) -> Floats:
        """Summed negative log-likelihood in nats and number of scored tokens of each text: ``[query, 2]``.

        Returns:
            ``[query, 2]``.

        Raises:
            NumericalError: A likelihood is not finite.
        """
        if not np.isfinite(episode.scores).all():
            raise NumericalError(
                "negative log-likelihoods must be finite, got NaN or infinity; try --precision 32-true"
            )
        return episode.scores

    def score(self, sums: Floats) -> Floats:
        """``exp(nll / tokens)``."""
        return np.asarray(np.exp(sums[..., 0] / sums[..., 1]))

    def notes(self, episodes: Sequence[EpisodePredictions], values: Sequence[Floats]) -> dict[str, Any]:
        """The number of scored tokens.

        There is no perplexity per word: it needs every token scored, as in the variants ``rolling`` of tasks.

        Returns:
            Facts by name.
        """
        return {"scored_tokens": int(np.concatenate(values)[:, 1].sum())}


PLUGIN = Perplexity
