"""Checks behind ``bench doctor`` of what surrounds a measurement: other processes, fresh processes, warm weights."""

import os
import tempfile
import time
from collections.abc import Iterator

import numpy as np
import psutil
import torch
from torch import nn

from bench.contracts import BenchError
from bench.contracts.errors import ChildError
from bench.costs.finding import Finding
from bench.costs.warm import touch_weights
from bench.engine.trainer import DeviceOptions
from bench.engine.worker import ForkedWorker
from bench.meters.contention import ContentionMeter
from bench.meters.memory import MIB
from bench.meters.stage import StageMeter
from bench.spec.conditions import OTHERS_SHARE

SUMMED = 1000
"""Ones that a process adds up on the device."""
WATCHED = 1.0
"""Seconds that other processes are watched."""
NAMED = 3
"""Number of other processes that are named."""
WEIGHTS = 64
"""MiB of the frozen weights of the check."""
LEFT = 4.0
"""MiB of them that a warmed process may be charged."""


def company(device: torch.device) -> Iterator[Finding]:
    """Check that the machine is idle, as it should be while costs are measured.

    Args:
        device: Device of the runs.

    Yields:
        Share of the usable cores that other processes use, with the names of the busiest.
    """
    before = _cpu_seconds()
    meter = ContentionMeter(device)
    time.sleep(WATCHED)
    found = meter.stop()
    used = {name: seconds - before.get(name, seconds) for name, seconds in _cpu_seconds().items()}
    busiest = sorted((name for name in used if used[name] > 0.01), key=lambda name: -used[name])[:NAMED]
    named = ", ".join(f"{name[1]} ({name[0]}) {used[name] / found.wall_seconds:.0%}" for name in busiest)
    reasons = "; ".join(found.company)
    share = 100 * (found.others_cpu_seconds or 0.0) / (found.cores * found.wall_seconds)
    limit = 100 * OTHERS_SHARE
    note = "; ".join(part for part in (reasons, named) if part) if share > limit else reasons
    yield Finding("time of the cores that others use now", 0.0, share, "%", 0.0, limit, note, state=True)


def _cpu_seconds() -> dict[tuple[int, str], float]:
    """CPU seconds of all other processes, by process id and name."""
    found = {}
    for process in psutil.process_iter(["pid", "name", "cpu_times"]):
        times = process.info["cpu_times"]
        if times is not None and process.info["pid"] != os.getpid():
            found[process.info["pid"], process.info["name"] or "?"] = times.user + times.system
    return found


class MappedWeights(nn.Module):
    """Frozen weights that are mapped from a file, as those of pretrained models are."""

    def __init__(self) -> None:
        super().__init__()
        with tempfile.NamedTemporaryFile() as file:
            file.truncate(WEIGHTS * MIB)
            mapped = np.memmap(file.name, dtype=np.float32, mode="c")
        self.weights = nn.Parameter(torch.from_numpy(mapped), requires_grad=False)


def fresh_processes(worker: ForkedWorker) -> Iterator[Finding]:
    """Check that each measurement has a fresh process, and that none is charged for weights that others share.

    Args:
        worker: A worker with MappedWeights.

    Yields:
        Number of distinct processes of two calls and this one, and the memory charged for reading warmed weights.
    """
    pids = {os.getpid(), worker.call(_pid), worker.call(_pid)}
    charged = worker.call(_charged)
    yield Finding("processes of two measurements and this one", 3, len(pids), "", 0.0)
    yield Finding(f"{WEIGHTS} MiB of frozen weights, read once warm", 0.0, charged, "MiB", 0.0, LEFT)


def device_in_children(worker: ForkedWorker, options: DeviceOptions) -> Iterator[Finding]:
    """Check that two forked processes can measure a stage on the GPU beside this one, as runs do.

    Where the driver allows one process alone, as in the compute mode EXCLUSIVE_PROCESS, none can.

    Args:
        worker: A worker with any backbone.
        options: Device of the runs.

    Yields:
        Number of processes of two that measured a sum on the GPU; nothing for other devices.
    """
    if options.device_kind() != "cuda":
        return
    torch.ones(1, device=options.root_device()).sum().item()
    sums, note = 0.0, ""
    try:
        for _ in range(2):
            sums += worker.call(_computed, options) == SUMMED
    except (BenchError, ChildError, MemoryError, RuntimeError) as error:
        note = f"{error}; where the driver refuses, see nvidia-smi -q -d COMPUTE"
    yield Finding("processes of two that can use the GPU beside this one", 2, sums, "", 0.0, note=note)


def _computed(_: object, options: DeviceOptions) -> float:
    """Sum on the device, measured as the first stage of a run is: nothing in the process has used the device before."""
    device, meter = options.root_device(), StageMeter()
    meter.start(device)
    total = float(torch.ones(SUMMED, device=device).sum())
    meter.stop()
    return total


def _pid(_: object) -> int:
    return os.getpid()


def _charged(backbone: nn.Module) -> float:
    """MiB that a method is charged for reading all frozen weights."""
    touch_weights(backbone)
    meter = StageMeter()
    meter.start(torch.device("cpu"))
    float(sum(weights.max() for weights in backbone.parameters()))
    meter.stop()
    return meter.cost.peak_memory_mb
