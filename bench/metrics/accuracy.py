"""Share of queries whose likeliest class is the right one."""

import numpy as np
from numpy.typing import NDArray

from bench.contracts.errors import NumericalError
from bench.contracts.kinds import CLASSIFICATION
from bench.contracts.metric import EpisodePredictions, Metric
from bench.stats.comparison import Paired
from bench.stats.intervals import Floats, Interval
from bench.stats.paired import compare_answers, compare_shares
from bench.stats.paired_many import Places, Tests, answer_tests, unit_tests


class Accuracy(Metric):
    """Accuracy in percent; of equal scores the first class is taken."""

    title = "accuracy"
    unit = "%"
    decimals = 1
    bounds = (0.0, 100.0)
    kinds = CLASSIFICATION
    fields = {"right": "bool"}  # noqa: RUF012

    def query_values(self, episode: EpisodePredictions) -> Floats:
        """1 for a right answer, 0 for a wrong one: ``[query, 1]``.

        Returns:
            ``[query, 1]``.

        Raises:
            NumericalError: A score is not finite.
        """
        broken = int((~np.isfinite(episode.scores).all(axis=-1)).sum())
        if broken:
            raise NumericalError(
                f"scores must be finite, got {broken} of {len(episode.labels)} queries of an episode with NaN or "
                "infinity; try --precision 32-true"
            )
        right: NDArray[np.bool_] = episode.scores.argmax(axis=-1) == episode.labels
        return right[:, None].astype(np.float64)

    def parts(self, values: Floats) -> Floats:
        """Right answers and queries, ``[query, 2]``."""
        return np.column_stack([values, np.ones(len(values))])

    def score(self, sums: Floats) -> Floats:
        """Right answers in percent of queries."""
        return np.asarray(100 * sums[..., 0] / sums[..., 1])

    def interval(self, values: Floats) -> Interval | None:
        """Wilson's interval: that of the normal distribution has no width where all answers are right."""
        if len(values) < 2:
            return None
        from scipy import stats  # takes half a second, and tables need no interval of answers

        found = stats.binomtest(int(values.sum()), len(values)).proportion_ci(method="wilson")
        return Interval(100 * float(found.low), 100 * float(found.high))

    def compare(self, a: Floats, b: Floats, present: NDArray[np.bool_]) -> Paired:
        """Exact McNemar's test on the queries of one episode; swaps of queries for those of several.

        Each query of several episodes counts by its share in the mean over episodes of their accuracies.

        Returns:
            The comparison, in %.
        """
        if present.shape[1] == 1:
            return compare_answers(a[:, 0, 0], b[:, 0, 0])
        return compare_shares(*_shares(np.stack([a, b]), present))

    def compare_pairs(self, tables: Floats, present: NDArray[np.bool_], first: Places, second: Places) -> Tests:
        """The same of many pairs.

        Returns:
            The tests.
        """
        if present.shape[1] == 1:
            return answer_tests(tables[:, :, 0, 0], first, second)
        return unit_tests(_shares(tables, present), first, second)


def _shares(tables: Floats, present: NDArray[np.bool_]) -> Floats:
    """Share of each query in the mean over episodes of their accuracies, ``[method, query]``."""
    weights = 100 * len(present) / present.shape[1] / present.sum(axis=0)
    return np.asarray((tables[..., 0] * weights).sum(axis=-1))


PLUGIN = Accuracy
