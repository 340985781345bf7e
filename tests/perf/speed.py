"""``make perf``: every case both ways, by pytest-benchmark; never part of the tests."""

import time
from collections.abc import Iterator

import pytest
import torch

from bench.engine.trainer import quiet_lightning
from bench.meters.memory import garbage_collection_frozen, memory_meter
from tests.perf import cases, closed_forms, language, trials
from tests.perf.cases import Case

ROUNDS = ((0.5, 20), (5.0, 5), (float("inf"), 3))
"""Seconds that a way takes at most, and how often it is then timed."""


@pytest.fixture(scope="session", autouse=True)
def unflushed_files() -> None:
    """Files are flushed to the disk, as in use."""


@pytest.fixture(
    scope="module",
    params=(*cases.CASES, *closed_forms.CASES, *trials.CASES, *language.CASES),
    ids=lambda make: make.__name__,
)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """A case, made once for both ways."""
    quiet_lightning()
    made: Case = request.param()
    # As the runner does: a stage's meter collects garbage, which must not count what is loaded.
    with garbage_collection_frozen():
        yield made


@pytest.mark.parametrize("way", ["ours", "other"])
def test_speed(benchmark, case, way):
    run = getattr(case, way)
    benchmark.group = case.what
    benchmark.extra_info |= {
        "way": way,
        "against": case.against,
        "promise": case.promise,
        "share": case.other_share if way == "other" else 1.0,
    }
    if case.counted:
        benchmark.extra_info |= {"count": benchmark.pedantic(run), "counted": case.counted}
        return
    if case.memory:
        meter = memory_meter(torch.device("cpu"))
        meter.start()
        run()
        benchmark.extra_info["peak_mb"] = meter.peak()
    if way == "ours" and case.error is not None:
        benchmark.extra_info |= {"error": case.error(), "error_of": case.error_of}
    began = time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    rounds = next(times for most, times in ROUNDS if seconds <= most)
    benchmark.pedantic(run, rounds=rounds, warmup_rounds=1)
