"""Contention meter: what else a host did during a measurement."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch

from bench.meters.cpu import cpu_model
from bench.meters.gpu_state import gpu_state
from bench.meters.memory import MIB
from bench.spec.conditions import Conditions

PRESSURE = Path("/proc/pressure/cpu")
CGROUPS = Path("/sys/fs/cgroup")


class ContentionMeter:
    """Readings of the host at the start and the end of a measurement, taken by the measuring process.

    Attributes:
        device: Device of the measurement.
        conditions: What was found, after ``stop``.
    """

    def __init__(self, device: torch.device) -> None:
        """Read the host.

        Args:
            device: Device of the measurement.
        """
        self.device = device
        self._before = _readings()

    def stop(self) -> Conditions:
        """Read the host again.

        Returns:
            The conditions since the start.
        """
        after = _readings()
        passed = {
            name: None if value is None or (before := self._before[name]) is None else max(0.0, value - before)
            for name, value in after.items()
        }
        cpu = passed["own"] or 0.0
        busy = passed.pop("busy")
        return Conditions(
            host=socket.gethostname(),
            cpu=cpu_model(),
            cores=len(usable_cores()),
            threads=torch.get_num_threads(),
            memory_mb=psutil.virtual_memory().total // MIB,
            wall_seconds=passed["wall"] or 0.0,
            cpu_seconds=cpu,
            others_cpu_seconds=None if busy is None else busy - cpu,  # below 0 by a clock tick at times
            steal_seconds=passed["steal"],
            pressure_seconds=passed["pressure"],
            throttled_seconds=passed["throttled"],
            load=_load(),
            frequency_mhz=_frequency(),
            **gpu_state(self.device),
        )


@contextmanager
def watched(device: torch.device, found: list[Conditions]) -> Iterator[None]:
    """Context whose conditions are added to a list.

    Args:
        device: Device of the measurement.
        found: Receives the conditions at the end, also after an error.
    """
    meter = ContentionMeter(device)
    try:
        yield
    finally:
        found.append(meter.stop())


def usable_cores() -> list[int]:
    """Numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _readings() -> dict[str, float | None]:
    """Seconds on all clocks: wall, this process's CPU time with its children's, the cores', pressure, throttling."""
    own = os.times()
    cores = _cores()
    return {
        "wall": time.perf_counter(),
        "own": own.user + own.system + own.children_user + own.children_system,
        "busy": sum(core.user + core.nice + core.system + _extra(core, "irq", "softirq") for core in cores),
        "steal": sum(_extra(core, "steal") for core in cores),
        "pressure": _pressure(),
        "throttled": _throttled(),
    }


def _cores() -> list[Any]:
    """CPU times of the usable cores; of all where the system numbers them in another way."""
    every = psutil.cpu_times(percpu=True)
    usable = usable_cores()
    return [every[core] for core in usable] if usable[-1] < len(every) else every


def _extra(core: Any, *names: str) -> float:
    """Times that only some systems count."""
    return sum(getattr(core, name, 0.0) for name in names)


def _pressure() -> float | None:
    """Seconds in which some process waited for a core since the system started."""
    try:
        words = PRESSURE.read_text(encoding="ascii").splitlines()[0].split()
    except (OSError, IndexError):
        return None
    return int(words[-1].removeprefix("total=")) / 1e6


def _throttled() -> float | None:
    """Seconds in which a limit of the process's cgroup stopped it (cgroups of version 2)."""
    try:
        own = next(
            line.removeprefix("0::/")
            for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
            if line.startswith("0::/")
        )
        lines = (CGROUPS / own / "cpu.stat").read_text(encoding="ascii").splitlines()
    except (OSError, StopIteration):
        return None
    found = [int(line.split()[1]) for line in lines if line.startswith("throttled_usec")]
    return found[0] / 1e6 if found else None


def _load() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _frequency() -> float | None:
    frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
    return frequency.current if frequency else None
