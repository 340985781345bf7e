"""Corpus BLEU of sacrebleu (Post 2018, aclanthology.org/W18-6319)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sacrebleu.metrics.bleu import BLEU

from bench.contracts.kinds import Kind
from bench.contracts.metric import EpisodePredictions, Metric
from bench.stats.intervals import Floats

ORDERS = range(1, 5)


class Bleu(Metric):
    """BLEU as sacrebleu has it by default: orders 1 to 4, tokenizer 13a, exponential smoothing.

    Fields of a sentence: ``correct_N``, its n-grams of order N that a reference has too; ``total_N``, all of them;
    ``written`` and ``reference``, lengths in tokens, of several references the one of the nearest length.
    """

    title = "BLEU"
    bounds = (0.0, 100.0)
    kinds = frozenset({Kind.TEXT_GENERATION})
    fields = {  # noqa: RUF012
        **{f"correct_{order}": "int64" for order in ORDERS},
        **{f"total_{order}": "int64" for order in ORDERS},
        "written": "int64",
        "reference": "int64",
    }

    def query_values(self, episode: EpisodePredictions) -> Floats:
        """Statistics of each sentence, ``[query, 10]``."""
        # An order without an n-gram changes a sentence's own score alone, and sacrebleu warns of it.
        bleu = BLEU(effective_order=True)
        found = [bleu.sentence_score(text, references) for text, references in episode.written]
        return np.array([[*each.counts, *each.totals, each.sys_len, each.ref_len] for each in found], dtype=np.float64)

    def score(self, sums: Floats) -> Floats:
        """Corpus BLEU, from 0 to 100."""
        rows = np.rint(sums.reshape(-1, sums.shape[-1])).astype(int).tolist()
        scores = [BLEU.compute_bleu(row[:4], row[4:8], row[8], row[9], smooth_method="exp").score for row in rows]
        return np.asarray(scores, dtype=np.float64).reshape(sums.shape[:-1])

    def notes(self, episodes: Sequence[EpisodePredictions], values: Sequence[Floats]) -> dict[str, Any]:
        """The signature by which sacrebleu's users tell that two scores are comparable."""
        bleu = BLEU()
        # The signature names the number of references, which sacrebleu reads from what it scores.
        text, references = episodes[0].written[0]
        bleu.corpus_score([text], [[each] for each in references])
        return {"signature": str(bleu.get_signature())}


PLUGIN = Bleu
