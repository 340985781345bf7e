"""Contention: a busy machine is noticed, and the rule of when a measurement was in company."""

import subprocess
import sys
import time

import pytest
import torch

from bench.meters import contention
from bench.meters.contention import ContentionMeter, usable_cores
from bench.spec.conditions import Conditions, combined

CPU = torch.device("cpu")
ALONE = Conditions(
    host="here", cpu="made up", cores=2, threads=2, memory_mb=1000, wall_seconds=10.0, cpu_seconds=10.0,
    others_cpu_seconds=1.9, steal_seconds=0.9,
)  # fmt: skip


def test_the_rule():
    assert ALONE.company == ()
    busy = ALONE.model_copy(update={"others_cpu_seconds": 2.2})
    assert busy.company == ("other processes used 11% of 2 cores",)
    assert ALONE.model_copy(update={"steal_seconds": 1.1}).company
    assert ALONE.model_copy(update={"throttled_seconds": 0.6}).company
    assert ALONE.model_copy(update={"gpu_processes": 1}).company
    assert ALONE.model_copy(update={"gpu_throttling": ("power brake",)}).company
    # The system counts in hundredths of a second: a few of them are no finding.
    assert (
        ALONE.model_copy(update={"wall_seconds": 0.01, "others_cpu_seconds": 0.04, "steal_seconds": 0.0}).company == ()
    )


def test_conditions_of_several_measurements_add_up():
    both = combined([ALONE.model_copy(update={"load": 3.0}), ALONE.model_copy(update={"load": 1.0})])
    assert (both.wall_seconds, both.others_cpu_seconds, both.load) == (20.0, 3.8, 3.0)
    assert both.pressure_seconds is None
    ticks = [ALONE.model_copy(update={"others_cpu_seconds": seconds}) for seconds in (-0.01, 0.02, -0.03)]
    assert combined(ticks[:2]).others_cpu_seconds == pytest.approx(0.01)
    assert combined(ticks).others_cpu_seconds == 0


def _spin(seconds):
    deadline = time.process_time() + seconds  # a busy machine may take longer
    while time.process_time() < deadline:
        pass


@pytest.mark.slow
def test_other_processes_are_seen_and_own_work_is_not_theirs():
    meter = ContentionMeter(CPU)
    _spin(0.3)
    own = meter.stop()
    assert own.cpu_seconds == pytest.approx(0.3, abs=0.1)
    burning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in usable_cores()]
    try:
        time.sleep(0.5)
        meter = ContentionMeter(CPU)
        time.sleep(1.0)
        busy = meter.stop()
    finally:
        for process in burning:
            process.kill()
            process.wait()
    assert busy.others_cpu_seconds > 0.5 * busy.cores * busy.wall_seconds
    assert busy.cpu_seconds < 0.3
    assert busy.company[0].startswith("other processes used")
    assert busy.host
    assert busy.memory_mb > 100


def test_a_system_that_counts_nothing_leaves_fields_empty(monkeypatch, tmp_path):
    monkeypatch.setattr(contention, "PRESSURE", tmp_path / "none")
    monkeypatch.setattr(contention, "CGROUPS", tmp_path)
    found = ContentionMeter(CPU).stop()
    assert (found.pressure_seconds, found.throttled_seconds, found.gpu_processes) == (None, None, None)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_of_ones_own_has_no_company():
    device = torch.device("cuda")
    torch.ones(1, device=device)
    pytest.importorskip("pynvml")
    found = ContentionMeter(device).stop()
    assert found.gpu_processes == 0
    assert found.gpu_clock_mhz > 0
