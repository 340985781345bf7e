"""Corpus chrF of sacrebleu: F-score of character n-grams (Popovic 2015, aclanthology.org/W15-3049)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sacrebleu.metrics.chrf import CHRF

from bench.contracts.kinds import Kind
from bench.contracts.metric import EpisodePredictions, Metric
from bench.stats.intervals import Floats

ORDERS = range(1, CHRF.CHAR_ORDER + 1)


class Chrf(Metric):
    """chrF2 as sacrebleu has it by default: characters of orders 1 to 6 without white space, recall counted twice.

    Fields of a text for each order N: ``written_N``, its n-grams; ``reference_N``, those of the reference;
    ``common_N``, those of both. Of several references, the one with the best chrF of this text counts.
    """

    title = "chrF"
    bounds = (0.0, 100.0)
    kinds = frozenset({Kind.TEXT_GENERATION})
    fields = {  # noqa: RUF012
        f"{part}_{order}": "int64" for order in ORDERS for part in ("written", "reference", "common")
    }

    def query_values(self, episode: EpisodePredictions) -> Floats:
        """Statistics of each text, ``[query, 18]``."""
        # sacrebleu sums these over a corpus, and has no public name for them.
        chrf = CHRF()
        found = [
            chrf._extract_corpus_statistics([text], [[each] for each in references])[0]
            for text, references in episode.written
        ]
        return np.array(found, dtype=np.float64)

    def score(self, sums: Floats) -> Floats:
        """Corpus chrF, from 0 to 100."""
        chrf = CHRF()
        rows = np.rint(sums.reshape(-1, sums.shape[-1])).astype(int).tolist()
        scores = [chrf._compute_score_from_stats(row).score for row in rows]
        return np.asarray(scores, dtype=np.float64).reshape(sums.shape[:-1])

    def notes(self, episodes: Sequence[EpisodePredictions], values: Sequence[Floats]) -> dict[str, Any]:
        """The signature by which sacrebleu's users tell that two scores are comparable."""
        chrf = CHRF()
        text, references = episodes[0].written[0]
        chrf.corpus_score([text], [[each] for each in references])
        return {"signature": str(chrf.get_signature())}


PLUGIN = Chrf
