"""When a measurement is repeated often enough, and how its median is known."""

import numpy as np
import pytest

from bench.costs import repeats as repeats_module
from bench.costs.repeats import is_known, median_interval, repeated
from bench.meters.stage import StageCost


@pytest.mark.parametrize(("size", "coverage"), [(3, 0.75), (6, 0.95), (20, 0.95)])
def test_the_interval_covers_the_median_whatever_the_distribution(size, coverage):
    rng = np.random.default_rng(0)
    intervals = [median_interval(rng.lognormal(0, 1, size)) for _ in range(2000)]
    assert np.mean([low <= 1 <= high for low, high in intervals]) > coverage - 0.02
    assert median_interval([2.0]) == (2.0, 2.0)


def test_steady_work_is_repeated_three_times_and_unsteady_work_more_often():
    assert not is_known([1.0, 1.0])
    assert is_known([1.0, 1.01, 0.99])
    assert not is_known([1.0, 1.2, 0.99])
    assert not is_known([1.0, 1.2] * 9)
    assert is_known([1.0, 1.2] * 10)  # as many as there ever are
    assert is_known([0.0, 0.0, 0.0])  # a method without a support set


def test_what_takes_a_millisecond_is_repeated_more_often():
    assert not is_known([0.001] * 9)
    assert is_known([0.001] * 10)
    assert not is_known([0.001, 0.002] * 10)
    assert is_known([0.001, 0.0012] * 20)


@pytest.mark.parametrize(("each", "repeats"), [(25.0, 2), (100.0, 1), (0.6, 5), (2.0, 3), (12.0, 3)])
def test_long_or_unsteady_work_is_not_repeated_beyond_patience(monkeypatch, each, repeats):
    clock = iter(np.arange(100.0) * each)
    monkeypatch.setattr(repeats_module.time, "perf_counter", lambda: next(clock))
    seconds = iter(np.arange(1.0, 100.0))  # never known
    assert len(repeated(lambda: StageCost(next(seconds), 0.0, "meter"))) == repeats
