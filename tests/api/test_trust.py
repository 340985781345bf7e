"""Trust in files that run code when they are loaded lasts as long as the call that was given it."""

import os
from functools import partial

import pytest

import bench
from bench.contracts import BenchError
from bench.runs import cost_comparison
from bench.toolkit.trust import VARIABLE
from sweeps.trials import TuningData
from tests.helpers.stores import fill


def sweep(folder, **trust):
    bench.sweep(task="digits", method="knn", accelerator="cpu", out=folder, logger="none", **trust)


def compare(folder, **trust):
    fill(folder)
    bench.compare("closed", "memory", store=folder, costs=True, accelerator="cpu", **trust)


@pytest.mark.parametrize("call", [sweep, compare])
def test_a_sweep_and_a_comparison_of_costs_trust_as_long_as_they_last(tmp_path, monkeypatch, call):
    seen = []

    def load(*arguments):
        seen.append(os.environ.get(VARIABLE))
        raise BenchError("enough")

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(TuningData, "of", load)
    monkeypatch.setattr(cost_comparison, "compare_costs", load)
    for each in (partial(call, tmp_path), partial(call, tmp_path, trust=True)):
        with pytest.raises(BenchError, match="enough"):
            each()
    assert seen == [None, "1"]
    assert VARIABLE not in os.environ
