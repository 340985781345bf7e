"""Share of reference texts that the written answer contains."""

import numpy as np

from bench.contracts.kinds import Kind
from bench.contracts.metric import EpisodePredictions, Metric
from bench.stats.intervals import Floats


class Contains(Metric):
    """String containment in percent: reference texts that stand in the answer, in any case, of all of them.

    Where every item has as many references it is ``string_match_all`` of RULER (Hsieh et al. 2024, arXiv 2404.06654).
    """

    title = "references contained"
    unit = "%"
    decimals = 1
    bounds = (0.0, 100.0)
    kinds = frozenset({Kind.TEXT_GENERATION})
    fields = {"contained": "int64", "references": "int64"}  # noqa: RUF012

    def query_values(self, episode: EpisodePredictions) -> Floats:
        """References that the answer contains, and all of them: ``[query, 2]``."""
        found = [
            [sum(reference.strip().lower() in text.lower() for reference in references), len(references)]
            for text, references in episode.written
        ]
        return np.array(found, dtype=np.float64)

    def score(self, sums: Floats) -> Floats:
        """Contained references in percent of all."""
        return np.asarray(100 * sums[..., 0] / sums[..., 1])


PLUGIN = Contains
