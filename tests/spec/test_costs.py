"""Costs that are derived from measured ones."""

import pytest

from bench.spec.costs import break_even_queries
from tests.helpers.records import COSTS


def test_costs_are_charged_from_raw_examples():
    # 6 support items and 3 queries took 1.5 s to encode, adapting a third of a second, querying 0.3 ms.
    assert COSTS.time_to_first_query == pytest.approx(1.5 * 6 / 9 + 1 / 3)
    assert COSTS.seconds_per_query == pytest.approx(1.5 / 9 + 0.0001)
    assert COSTS.query_milliseconds == pytest.approx(0.1)
    assert COSTS.flops == 100 + 600
    assert COSTS.peak_memory_mb == 7.0


@pytest.mark.parametrize(
    ("extra_setup_seconds", "saved_per_query", "queries"),
    [(2.0, 0.5, 4.0), (-1.0, 0.5, 0.0), (0.0, 0.0, 0.0), (1.0, 0.0, None), (1.0, -0.5, None), (-1.0, -0.5, None)],
)
def test_break_even_is_where_both_have_cost_the_same(extra_setup_seconds, saved_per_query, queries):
    assert break_even_queries(extra_setup_seconds, saved_per_query) == queries
    if queries:
        assert extra_setup_seconds - queries * saved_per_query == 0
