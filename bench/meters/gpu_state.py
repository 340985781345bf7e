"""State of a CUDA device during a measurement, by NVIDIA's management library where it is installed."""

import os
from typing import Any

import psutil
import torch

SLOWDOWNS = {
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
"""Throttle reasons of the library, by bit, that make a measurement slower than the device is."""


def gpu_state(device: torch.device) -> dict[str, Any]:
    """Other processes, clock and slowdowns of a device.

    Args:
        device: The device of a measurement.

    Returns:
        Fields of Conditions; empty for other devices, and without the package ``nvidia-ml-py``.
    """
    if device.type != "cuda":
        return {}
    try:
        import pynvml
    except ImportError:
        return {}
    try:
        pynvml.nvmlInit()
        uuid = torch.cuda.get_device_properties(device).uuid
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        running = {process.pid for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)}
        reasons = pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)
        clock = pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)
    except pynvml.NVMLError:
        return {}
    return {
        "gpu_processes": len(running - _own(running)),
        "gpu_clock_mhz": float(clock),
        "gpu_throttling": tuple(name for bit, name in SLOWDOWNS.items() if reasons & bit),
    }


def _own(running: set[int]) -> set[int]:
    """This process and the processes that started it; all where a container numbers processes in another way."""
    family = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return family & running or running
