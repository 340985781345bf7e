"""``bench doctor``: the meters on loads of known size, and what a run needs of the machine."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from bench.costs.worker import ForkedWorker
from bench.engine.trainer import DeviceOptions
from bench.meters.flops import FlopMeter
from bench.meters.memory import MIB, memory_meter
from bench.meters.stage import StageCost, StageMeter
from bench.toolkit.files import cache_folder

SLEEP = 0.25
LOAD = 256
"""MiB of the known allocation."""
SIZE = 384
"""Rows of the known matrix product."""
TRIES = 20
LEAST_DISK = 1.0
"""GiB that features and converted weights may need."""


@dataclass(frozen=True)
class Finding:
    """What was expected and what was measured. tolerance: relative."""

    what: str
    expected: float
    measured: float
    unit: str
    tolerance: float

    @property
    def sound(self) -> bool:
        """Whether the measurement is within its tolerance."""
        return abs(self.measured - self.expected) <= self.tolerance * abs(self.expected)


def measured(load: Callable[[], object], device: torch.device) -> StageCost:
    """What a load costs by the same meter as a stage of a run."""
    meter = StageMeter()
    meter.start(device)
    load()
    meter.stop()
    return meter.cost


def _busy() -> float:
    """Keep a core busy; the processor seconds it took."""
    began = time.thread_time()
    while (taken := time.thread_time() - began) < SLEEP:
        sum(range(1000))
    return taken


def clocks(device: torch.device) -> Iterator[Finding]:
    """Of several tries the shortest: other work can hold a process up, never make it faster."""
    for what, load, tolerance in (("a sleep", _sleep, 0.1), ("a busy loop, in processor seconds", _busy, 0.25)):
        best = Finding(what, SLEEP, float("inf"), "s", tolerance)
        for _ in range(TRIES):
            seconds = measured(load, device).seconds
            best = replace(best, measured=min(best.measured, seconds))
            if best.sound:
                break
        yield best


def _sleep() -> None:
    time.sleep(SLEEP)


def memory(device: torch.device) -> Iterator[Finding]:
    """An allocation that is kept, and one that is given back before the end."""
    cpu = torch.device("cpu")
    held: list[np.ndarray] = []

    def keep() -> None:
        held.append(np.ones(LOAD * MIB, dtype=np.uint8))

    def give_back() -> None:
        np.ones(LOAD * MIB, dtype=np.uint8)
        if memory_meter(cpu).name == "sampled_rss":
            time.sleep(0.02)  # a sampling meter needs an instant to see it

    yield Finding(
        f"{LOAD} MiB allocated ({memory_meter(cpu).name})", LOAD, measured(keep, cpu).peak_memory_mb, "MiB", 0.1
    )
    held.clear()
    yield Finding(f"{LOAD} MiB given back before the end", LOAD, measured(give_back, cpu).peak_memory_mb, "MiB", 0.1)
    if device.type == "cuda":

        def on_device() -> None:
            torch.ones(LOAD * MIB, dtype=torch.uint8, device=device)

        on_device()  # the first use of a device takes memory of its own
        peak = measured(on_device, device).peak_memory_mb
        yield Finding(f"{LOAD} MiB on the device", LOAD, peak, "MiB", 0.01)


def operations(device: torch.device) -> Iterator[Finding]:
    """A matrix product, a factorisation, and on a device a product that is queued rather than done."""
    matrix = torch.eye(SIZE, dtype=torch.float64) * 2
    with FlopMeter() as product:
        matrix @ matrix
    yield Finding("operations of a matrix product", 2.0 * SIZE**3, product.total, "FLOP", 0.0)
    with FlopMeter() as factor:
        torch.linalg.cholesky(matrix)
    yield Finding("operations of a Cholesky factor", SIZE**3 // 3, factor.total, "FLOP", 0.0)
    if device.type == "cuda":
        yield _queued(device)


def _queued(device: torch.device) -> Finding:
    """Kernels return before they are done; the meter must wait for them, as CUDA's own events do."""
    large = torch.ones(4096, 4096, device=device)

    def queue() -> None:
        for _ in range(20):
            large @ large

    queue()
    torch.cuda.synchronize(device)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    queue()
    end.record()
    torch.cuda.synchronize(device)
    return Finding("queued kernels", start.elapsed_time(end) / 1000, measured(queue, device).seconds, "s", 0.25)


def _pid(_: object) -> int:
    return os.getpid()


def _no_backbone() -> None:
    return None


def processes() -> Iterator[Finding]:
    """Costs are measured in processes of their own: how many different ones two calls and this process are."""
    fresh = ForkedWorker(_no_backbone)
    try:
        found = {os.getpid(), fresh.call(_pid), fresh.call(_pid)}
    finally:
        fresh.close()
    yield Finding("processes of two measurements and this one", 3, len(found), "", 0.0)


def findings(options: DeviceOptions) -> Iterator[Finding]:
    """All checks of meters, one after another. Raises UsageError if the device cannot be had."""
    options.device_name()
    device = options.trainer().strategy.root_device
    yield from clocks(device)
    yield from memory(device)
    yield from operations(device)
    yield from processes()


def folders(store: Path) -> Iterator[tuple[str, Path, str]]:
    """What a run writes to: its name, where it is, and what is wrong with it, or nothing."""
    for name, folder in (("records", store), ("features and weights", cache_folder())):
        yield name, folder, _trouble(folder)


def _trouble(folder: Path) -> str:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        return f"nothing can be written there: {error.strerror}"
    free = shutil.disk_usage(folder).free / 2**30
    return f"{free:.1f} GiB are free, {LEAST_DISK:g} may be needed" if free < LEAST_DISK else ""
