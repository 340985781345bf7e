"""Difference of two methods' scores, tested against a limit on the episodes that they share."""

import math
from collections.abc import Sequence

from bench import registry
from bench.contracts.metric import Metric
from bench.results.record import Record
from bench.results.row_sample import Find
from bench.results.shared_episodes import paired
from bench.stats.comparison import Paired
from bench.stats.limits import FLIPPED, LimitTest, difference_test


def score_limit_test(
    own: Sequence[Record], other: Sequence[Record], limit: float, find: Find
) -> tuple[Paired, LimitTest] | None:
    """Test how much better one method is than another.

    Args:
        own: Records of the method.
        other: Records of the method that it is compared with.
        limit: In the unit of the metric, positive where the method has to be better.
        find: Looks up the predictions of a record.

    Returns:
        The comparison, and the test of the difference, which is positive where the method is better, against the
        limit; None where they share no episodes, or one whose predictions were not kept.
    """
    found = paired(own, other, find)
    if found is None:
        return None
    metric = registry.make_metric(own[0].metric)
    sign = 1 if metric.higher_is_better else -1
    test = difference_test(
        sign * found.difference, found.spread or 0.0, found.n_independent, limit,
        _least_error(found, metric, sum(record.n_queries for record in own)), found.clustered,
    )  # fmt: skip
    return found, test


def _least_error(found: Paired, metric: Metric, n_answers: int) -> float:
    """The standard error of answers that could have been others; 0 for a metric without bounds."""
    low, high = metric.bounds
    answers = found.n_units if found.unit == "queries" else n_answers
    return FLIPPED * (high - low) / max(1, answers) if math.isfinite(high - low) else 0.0
