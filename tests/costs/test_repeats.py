"""When a measurement is repeated often enough, and how its median is known."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats

from bench.costs import passes, protocol
from bench.costs import repeats as repeats_module
from bench.costs.repeats import Patience, gets_faster, is_known, median_interval, repeated
from bench.engine.group_result import GroupResult
from bench.engine.trainer import DeviceOptions
from bench.meters.stage import StageCost
from bench.spec.budget import Budget

RUN = SimpleNamespace(spec=SimpleNamespace(limit=None))


@pytest.mark.parametrize(("size", "coverage"), [(3, 0.75), (6, 0.95), (20, 0.95)])
def test_the_interval_covers_the_median_whatever_the_distribution(size, coverage):
    rng = np.random.default_rng(0)
    intervals = [median_interval(rng.lognormal(0, 1, size)) for _ in range(2000)]
    assert np.mean([low <= 1 <= high for low, high in intervals]) > coverage - 0.02
    assert median_interval([2.0]) == (2.0, 2.0)


def test_its_ends_are_quantiles_of_the_binomial_distribution():
    for size in range(1, 100):
        low, high = median_interval(range(1, size + 1))
        assert low == max(1, stats.binom.ppf(repeats_module.OUTSIDE, size, 0.5))
        assert high == size + 1 - low


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


def test_a_stage_of_no_weight_beside_the_other_need_not_be_known_better():
    assert not is_known([0.001, 0.0015, 0.001])
    assert is_known([0.001, 0.0015, 0.001], beside=0.2)
    assert not is_known([0.001, 0.0015, 0.001], beside=0.02)
    assert not is_known([0.2, 0.3, 0.2], beside=0.001)


@pytest.mark.parametrize(("each", "repeats"), [(25.0, 2), (100.0, 1), (0.6, 5), (2.0, 3), (12.0, 3)])
def test_long_or_unsteady_work_is_not_repeated_beyond_patience(monkeypatch, each, repeats):
    clock = iter(np.arange(100.0) * each)
    monkeypatch.setattr(repeats_module.time, "perf_counter", lambda: next(clock))
    seconds = iter(np.arange(1.0, 100.0))  # never known
    assert len(repeated(lambda: StageCost(next(seconds), 0.0, "meter"))) == repeats


def test_processes_share_the_time_for_further_repeats(monkeypatch):
    clock = iter(np.arange(100.0) * 0.4)
    monkeypatch.setattr(repeats_module.time, "perf_counter", lambda: next(clock))
    patience = Patience(processes=3)
    assert [patience.lasts(repeats) for repeats in (1, 2)] == [True, False]  # a third of three seconds


@pytest.fixture
def measured(monkeypatch):
    """Number of passes of each forked process, for made-up seconds of adapting and answering."""
    monkeypatch.setattr(passes, "_warm_up", lambda backbone, request: 0.0)
    monkeypatch.setattr("bench.engine.frozen.to_precision_of", lambda run, backbone, devices: None)
    monkeypatch.setattr(passes, "_group", lambda backbone, request, payload: None)
    monkeypatch.setattr(passes, "_again", lambda backbone, request, first: ())  # no repeat
    for name in ("OTHERS_SHARE", "STEAL_SHARE", "LEAST_SECONDS"):
        monkeypatch.setattr(f"bench.spec.conditions.{name}", 1e9)  # nothing is in company

    def measure(seconds):
        made, counts = iter(seconds), []
        monkeypatch.setattr(passes, "answered", lambda group, devices, options: _result(*next(made)))
        request = passes.PassRequest(
            RUN, (None,) * protocol.AT_ONCE, None, True, Budget(), DeviceOptions(accelerator="cpu"), alone=True
        )

        class Worker:
            def call(self, function, *arguments):
                found = function(None, *arguments)
                counts.append(len(found.results))
                return found

        timed = protocol._repeated(Worker(), SimpleNamespace(forked=True, run=RUN), request)
        assert sum(counts) == len(timed.results)
        return counts

    return measure


def _result(adapt, query):
    nothing = dict.fromkeys(
        ("n_queries", "state_bytes", "optimizer_bytes", "trainable_params", "steps", "tokens", "step_seconds",
         "closing_seconds", "adapt_flops", "step_flops", "query_flops"), 0,
    )  # fmt: skip
    stages = {"adapt": StageCost(adapt, 0.0, "none"), "query": StageCost(query, 0.0, "none")}
    return GroupResult(scores=torch.empty(0), texts=[], losses=[], notes={}, **stages, **nothing)


def test_each_process_makes_its_share_of_the_repeats(measured):
    assert measured([(0.05, 0.05)] * 99) == [1, 1, 1]
    assert measured([(0.004, 0.001)] * 99) == [4, 4, 2]  # at least ten of a stage below two milliseconds
    assert measured([(0.2, 0.001)] * 99) == [1, 1, 1]  # unless it is of no weight
    assert measured([(0.05, 0.05), (0.1, 0.05)] * 99) == [1, 7, 7, 5]  # twenty at most, and twenty-four short ones
    assert measured([(0.004, 0.001), (0.004, 0.002)] * 99) == [8, 8, 8]


def test_the_repeated_pass_takes_as_many_steps_as_a_limit_left_to_the_first(monkeypatch):
    taken = []

    def answered(group, devices, options):
        taken.append(options.most_steps)
        return replace(_result(0.05, 0.05), steps=7)

    monkeypatch.setattr(passes, "_warm_up", lambda backbone, request: 0.0)
    monkeypatch.setattr(passes, "_group", lambda backbone, request, payload: None)
    monkeypatch.setattr(passes, "answered", answered)
    limit, cpu = Budget(adapt_seconds=0.1), DeviceOptions(accelerator="cpu")
    request = passes.PassRequest(RUN, (None,) * protocol.AT_ONCE, None, True, limit, cpu, alone=True)
    made = passes._timed(None, request, passes.NONE)
    assert len(made.again) == 1
    assert taken == [*[None] * len(made.results), 7]  # time ends the others, and held nothing back from this one


def test_work_that_gets_faster_within_a_process_is_noticed_and_unsteady_work_is_not():
    brief, long = (0.01, 0.001), (0.02, 0.001)
    assert gets_faster([[long, brief, brief], [long, brief], [long]])
    assert gets_faster([[(0.001, 0.02), brief]])
    assert not gets_faster([[long], [long], [long]])
    assert not gets_faster([[long, long, brief], [brief, long, long], [brief, long]])
    assert not gets_faster([[(0.002, 0.001), (0.001, 0.001)]])  # a millisecond more is the first pass's own


@pytest.mark.parametrize(
    ("seconds", "forked", "episodes", "whole"),
    [(0.1, True, 14, True), (0.3, True, 1, False), (0.3, False, 14, True), (2.0, False, 14, False)],
)
def test_brief_passes_share_processes_and_are_warmed_up_by_a_whole_one(seconds, forked, episodes, whole):
    counted = passes.CountedPass(None, None, _result(0.02, 0.01), seconds, object())
    request = SimpleNamespace(
        run=SimpleNamespace(with_config=lambda config: None), payloads=(SimpleNamespace(episodes=None),) * 15,
        budget=Budget(), devices=None, encode=None, forked=forked, apart=True, only=False,
    )  # fmt: skip
    ready = protocol.prepared(SimpleNamespace(call=lambda function, passes: counted), request)
    assert (len(ready.passes.payloads), ready.passes.whole) == (episodes, whole)
