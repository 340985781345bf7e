"""State of a GPU, by a stand-in of NVIDIA's management library."""

import os
import sys
from types import SimpleNamespace

import pytest
import torch

from bench.meters.gpu_state import gpu_state

GPU = torch.device("cuda")


@pytest.fixture
def library(monkeypatch):
    """The library, with one device that this process and another use."""
    made = SimpleNamespace(
        NVMLError=RuntimeError,
        NVML_CLOCK_SM=1,
        running=[os.getpid(), 1_000_000_000],
        reasons=0x4 | 0x40,  # at its power limit, which is usual under load, and too hot
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetClockInfo=lambda handle, clock: 1410,
    )
    made.nvmlDeviceGetComputeRunningProcesses = lambda handle: [SimpleNamespace(pid=pid) for pid in made.running]
    made.nvmlDeviceGetCurrentClocksThrottleReasons = lambda handle: made.reasons
    monkeypatch.setitem(sys.modules, "pynvml", made)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="0123"))
    return made


def test_other_processes_clock_and_slowdowns_are_read(library):
    expected = {"gpu_processes": 1, "gpu_clock_mhz": 1410.0, "gpu_throttling": ("hardware thermal slowdown",)}
    assert gpu_state(GPU) == expected
    library.running, library.reasons = [os.getppid()], 0x1
    assert gpu_state(GPU) == {"gpu_processes": 0, "gpu_clock_mhz": 1410.0, "gpu_throttling": ()}


def test_without_the_library_or_on_a_cpu_nothing_is_known(library, monkeypatch):
    assert gpu_state(torch.device("cpu")) == {}
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu_state(GPU) == {}
