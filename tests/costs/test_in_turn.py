"""Costs of two methods measured in turn, and how sure their ratio is."""

from pathlib import Path

import numpy as np
import pytest

import bench
from bench.contracts import UsageError
from bench.costs.in_turn import LEAST_PAIRS, break_even_interval, log_ratio_interval
from bench.engine.trainer import DeviceOptions
from bench.engine.worker import ForkedWorker
from bench.results.store import Store
from bench.runs.cost_comparison import compare_costs
from bench.runs.report import Report
from tests.helpers.records import made
from tests.helpers.runs import Notebook

pytestmark = pytest.mark.slow


def test_the_interval_of_a_ratio_covers_it():
    rng = np.random.default_rng(0)
    load = rng.lognormal(0, 0.5, (1000, 6))  # meets both partners of a pair alike
    a, b = (seconds * load * rng.lognormal(0, 0.1, load.shape) for seconds in (3.0, 2.0))
    intervals = [log_ratio_interval(*pair)[1:] for pair in zip(a, b, strict=True)]
    assert 0.93 < np.mean([low < 1.5 < high for low, high in intervals]) < 0.97
    assert np.median([high / low for low, high in intervals]) < 1.4
    assert log_ratio_interval([3.0], [2.0]) == (pytest.approx(1.5), None, None)


def test_a_break_even_has_an_interval_that_may_reach_never():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.001, (10, 2))
    slow_start, slow_queries = np.array([[10.0, 0.1]]) + noise, np.array([[0.0, 1.1]]) + noise[::-1]
    middle, low, high = break_even_interval(slow_start, slow_queries)
    assert low <= middle <= high
    assert middle == pytest.approx(10, rel=0.01)
    assert break_even_interval(slow_queries + 1, slow_start - 1) == (float("inf"),) * 3
    assert break_even_interval(slow_start - 11, slow_queries) == (0.0, 0.0, 0.0)


def test_runs_of_different_precision_are_refused():
    pair = made({"method": "a"}), made({"method": "b", "precision": "bf16-true"})
    with pytest.raises(UsageError, match="a was run at 32-true, b at bf16-true; run both at one --precision"):
        compare_costs([(5, *pair)], DeviceOptions(accelerator="cpu"), None, Report(Store(Path()), Notebook()))


@pytest.mark.usefixtures("outside", "cache")
def test_two_methods_of_a_store_are_measured_in_turn(tmp_path, monkeypatch):
    """Sleeping takes as long on a busy machine."""
    settings = {"task": "stripes", "backbone": "pixels", "shots": [5], "episodes": 2, "store": tmp_path}
    for seconds in (0.05, 0.1):
        bench.run(
            **settings, methods=["lying"], set={"lying": {"seconds": seconds}}, accelerator="cpu", measure_in="inline",
            logger="none", progress=False,
        )  # fmt: skip
    order, call = [], ForkedWorker.call

    def noted(self, function, *arguments):
        if function.__name__ == "timed_passes":
            order.append(arguments[0].run.config.seconds)
        return call(self, function, *arguments)

    monkeypatch.setattr(ForkedWorker, "call", noted)
    names = ("lying [seconds=0.05]", "lying [seconds=0.1]")
    found = bench.compare(*names, store=tmp_path, costs=True, accelerator="cpu")
    (costs,) = found.costs
    adapt = costs.measured.ratios[0]
    assert (adapt.cost, adapt.unit) == ("adapt", "s")
    assert adapt.low < 0.5 < adapt.high or adapt.ratio == pytest.approx(0.5, rel=0.1)
    assert adapt.b > 0.1 > adapt.a > 0.05
    assert costs.measured.pairs >= LEAST_PAIRS
    assert order == [0.05, 0.1] * costs.measured.pairs
    for text in (found.table(), found.table("markdown"), found._repr_html_()):
        assert "adapt" in text
        assert f"{adapt.ratio:.3f}" in text
        assert "] from " in text  # which of both is cheaper, and from how many queries on
    assert bench.compare(*names, store=tmp_path).costs == ()
    assert "in pairs" in found.table("markdown")
