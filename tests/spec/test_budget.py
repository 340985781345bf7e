"""Budgets as users write them, and what a measurement says of them."""

import re

import pytest

from bench.contracts import UsageError
from bench.contracts.validation import validated
from bench.spec.axes import LIMITED
from bench.spec.budget import (
    Budget,
    Match,
    Violation,
    budget_of,
    parse_match,
    require_possible,
    violations,
)
from bench.spec.costs import StageCosts
from bench.spec.mapping_texts import read_limit_grid, read_limits
from bench.spec.suite import Block
from tests.helpers.places import ROOT
from tests.helpers.records import COSTS

DOCS = ROOT / "docs"


def test_the_documented_axes_are_those_of_the_table():
    table = (DOCS / "budgets.md").read_text(encoding="utf-8").partition("how it is held")[2]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(LIMITED)


def test_a_budget_is_what_is_written():
    budget = budget_of(read_limits(["adapt_seconds=0.5", "steps=20,flops=1e9"]), "budget")
    assert budget == Budget(adapt_seconds=0.5, steps=20, flops=1e9)
    assert str(budget) == "adapt_seconds=0.5,steps=20,flops=1e+09"
    assert str(Budget()) == ""
    assert read_limit_grid("adapt_seconds=0.1,1,10,steps=5") == {"adapt_seconds": [0.1, 1, 10], "steps": [5]}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["adapt_seconds=0"], r"budget: adapt_seconds needs a number above 0.*got 0.0; leave it out for no limit"),
        (["state_mb=-1"], r"state_mb needs a number above 0.*got -1"),
        (["steps=2.5"], r"steps needs a number above 0, whole where it counts, got 2.5"),
        (["steps=nan"], r"needs a number for steps, got .nan."),
        (["steps=many"], r"run: budget: needs a number for steps, got 'many'; give .*such as steps=2$"),
        (["adapt_second=1"], r"budget has no axis 'adapt_second'; did you mean 'adapt_seconds'\?"),
        (["wealth=1"], r"has no axis 'wealth'; known: adapt_seconds"),
        (["adapt_seconds"], r"run: budget: needs AXIS=LIMIT, such as adapt_seconds=2, got \['adapt_seconds'\]"),
        (["steps=1", "steps=2"], r"run: budget: gives steps twice, 1 and 2"),
        (["state_mb=20", "peak_memory_mb=10"], r"state_mb=20 contradicts peak_memory_mb=10.*lower the first"),
        (["steps=20", "tokens=10"], r"steps=20 contradicts tokens=10"),
    ],
)
def test_what_cannot_be_a_budget_is_refused(texts, message):
    with pytest.raises(UsageError, match=message):
        budget_of(validated(Block, {"task": "t", "methods": ["m"], "budget": texts}, "run").budget, "budget")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (":steps", "--match needs METHOD"),
        ("faast:speed", "--match has no axis 'speed'"),
        ("faast:tuning_trials", "--match has no axis 'tuning_trials'"),
    ],
)
def test_what_cannot_be_a_match_is_refused(text, message):
    with pytest.raises(UsageError, match=message):
        parse_match(text)


def test_a_match_is_the_references_cost():
    assert parse_match("faast") == Match(method="faast", axes=("adapt_seconds", "state_mb"))
    match = parse_match("faast:adapt_seconds,state_mb")
    # Half of the spread is what lies between the median and the upper quartile.
    upper = COSTS.adapt.seconds + 0.005
    assert match.budget(COSTS, reads_features=True) == Budget(adapt_seconds=upper, state_mb=0.25)
    # Encoding the support set is a part of adapting for who reads inputs.
    assert match.budget(COSTS, reads_features=False).adapt_seconds == COSTS.time_to_first_query + 0.005
    with pytest.raises(UsageError, match="faast cannot be matched on tokens: it costs 0"):
        parse_match("faast:tokens").budget(COSTS, reads_features=True)


def test_what_is_not_kept_is_named_with_limit_and_measurement():
    budget = budget_of({"adapt_seconds": 0.2, "seconds_per_query": 0.1, "state_mb": 0.3, "steps": 3}, "test")
    found = violations(budget, COSTS)
    assert [(each.axis, each.limit, each.measured) for each in found] == [
        ("adapt_seconds", 0.2, COSTS.adapt.seconds),
        ("seconds_per_query", 0.1, 1.5 / 9 + 0.0001),
        ("steps", 3, 4),
    ]
    assert str(found[-1]) == "steps is 4, 3 allowed"
    assert str(Violation("trainable_params", 10, 57_600)) == "trainable_params is 57,600, 10 allowed"


def test_a_method_that_was_stopped_may_end_within_a_step_of_its_time():
    limit = Budget(adapt_seconds=COSTS.adapt.seconds - 0.05)
    assert violations(limit, COSTS, step_seconds=0.04)
    assert not violations(limit, COSTS, step_seconds=0.06)
    # One step alone is no excuse: a method whose first step is too long does not comply.
    assert violations(limit, COSTS.model_copy(update={"steps": 1}), step_seconds=0.06)


def test_a_budget_below_the_backbones_own_cost_is_refused():
    own = StageCosts(seconds=0.5, peak_memory_mb=200.0, flops=10**9)
    with pytest.raises(UsageError, match=r"peak_memory_mb=100 is below what pixels itself costs, 200; .* raise it"):
        require_possible(Budget(peak_memory_mb=100), own, True, "pixels")
    require_possible(Budget(query_milliseconds=100), own, True, "pixels")
    for axis, limit in (("query_milliseconds", 100), ("seconds_per_query", 0.1)):
        with pytest.raises(UsageError, match=f"{axis}={limit} is below"):
            require_possible(Budget(**{axis: limit}), own, False, "pixels")
