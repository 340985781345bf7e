"""Costs that are derived from measured ones."""

import pytest

from bench.spec.costs import break_even_queries
from tests.test_records import COSTS


def test_costs_are_charged_from_raw_examples():
    # 6 support items and 3 queries took 1.5 s to encode, adapting a third of a second, querying 0.3 ms.
    assert COSTS.seconds_once == pytest.approx(1.5 * 6 / 9 + 1 / 3)
    assert COSTS.seconds_each == pytest.approx(1.5 / 9 + 0.0001)
    assert COSTS.query_milliseconds == pytest.approx(0.1)
    assert COSTS.flops == 100 + 600
    assert COSTS.peak_memory_mb == 7.0


@pytest.mark.parametrize(
    ("dearer_once", "cheaper_each", "queries"),
    [(2.0, 0.5, 4.0), (-1.0, 0.5, 0.0), (0.0, 0.0, 0.0), (1.0, 0.0, None), (1.0, -0.5, None), (-1.0, -0.5, None)],
)
def test_break_even_is_where_both_have_cost_the_same(dearer_once, cheaper_each, queries):
    assert break_even_queries(dearer_once, cheaper_each) == queries
    if queries:
        assert dearer_once - queries * cheaper_each == 0
