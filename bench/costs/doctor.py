"""Checks behind ``bench doctor``: the meters on known loads, and the folders that runs write to."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bench.costs.doctor_isolation import frozen_backbone, label_isolation
from bench.costs.doctor_machine import MappedWeights, company, device_in_children, fresh_processes
from bench.costs.finding import Finding
from bench.engine.trainer import DeviceOptions
from bench.engine.worker import ForkedWorker
from bench.meters.flops import FlopMeter
from bench.meters.memory import MIB, memory_meter
from bench.meters.stage import StageCost, StageMeter
from bench.toolkit.durable import ROOM, make_folder, require_room
from bench.toolkit.files import cache_folder

SLEEP = 0.25
"""Seconds of the known duration."""
LOAD = 256
"""MiB of the known allocation."""
SIZE = 384
"""Rows of the known matrix product."""
TRIES = 20
"""Largest number of attempts at a clock check."""
LEAST_DISK = 1.0
"""GiB of free disk that features and converted weights may need."""


def measured(load: Callable[[], object], device: torch.device) -> StageCost:
    """Measure a load with the meter that measures the stages of runs.

    Args:
        load: The load, called once.
        device: Device that it runs on.

    Returns:
        Its time and peak memory.
    """
    meter = StageMeter()
    meter.start(device)
    load()
    meter.stop()
    return meter.cost


def _busy() -> float:
    """Keep a core busy for SLEEP; returns the processor seconds used."""
    began = time.thread_time()
    while (taken := time.thread_time() - began) < SLEEP:
        sum(range(1000))
    return taken


def clocks(device: torch.device) -> Iterator[Finding]:
    """Clock checks: a sleep and a busy loop.

    The shortest of several attempts counts, because other work on the machine can only make a load slower.

    Args:
        device: Device whose queued work the clock waits for.

    Yields:
        One finding per load.
    """
    for name, load, tolerance in (("a sleep", _sleep, 0.1), ("a busy loop, in processor seconds", _busy, 0.25)):
        best = Finding(name, SLEEP, float("inf"), "s", tolerance)
        for _ in range(TRIES):
            seconds = measured(load, device).seconds
            best = replace(best, measured=min(best.measured, seconds))
            if best.passed:
                break
        yield best


def _sleep() -> None:
    time.sleep(SLEEP)


def memory(device: torch.device) -> Iterator[Finding]:
    """Memory checks: an allocation that is kept, one that is freed before the end, and on CUDA one on the device.

    Args:
        device: Device of the runs.

    Yields:
        One finding per allocation.
    """
    cpu = torch.device("cpu")
    held: list[np.ndarray] = []

    def keep() -> None:
        held.append(np.ones(LOAD * MIB, dtype=np.uint8))

    def free() -> None:
        np.ones(LOAD * MIB, dtype=np.uint8)
        if memory_meter(cpu).name == "sampled_rss":
            time.sleep(0.02)  # a sampling meter sees no shorter peak

    yield Finding(
        f"{LOAD} MiB allocated ({memory_meter(cpu).name})", LOAD, measured(keep, cpu).peak_memory_mb, "MiB", 0.1
    )
    held.clear()
    yield Finding(f"{LOAD} MiB freed before the end", LOAD, measured(free, cpu).peak_memory_mb, "MiB", 0.1)
    if device.type == "cuda":

        def on_device() -> None:
            torch.ones(LOAD * MIB, dtype=torch.uint8, device=device)

        on_device()  # the first use of a device allocates memory for its context
        peak = measured(on_device, device).peak_memory_mb
        yield Finding(f"{LOAD} MiB on the device", LOAD, peak, "MiB", 0.01)


def operations(device: torch.device) -> Iterator[Finding]:
    """Checks of the operation counter: a matrix product and a factorisation; on CUDA also the time of queued kernels.

    Args:
        device: Device of the runs.

    Yields:
        One finding per load.
    """
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
    """Time of asynchronous kernels, for which the meter must wait; CUDA's own events give the true time."""
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


def findings(options: DeviceOptions) -> Iterator[Finding]:
    """All checks of the meters, one after another.

    Args:
        options: Accelerator of the runs.

    Yields:
        One finding per known load.

    Raises:
        UsageError: If the device cannot be used.
    """
    options.device_name()
    device = options.root_device()
    yield from company(device)
    yield from clocks(device)
    yield from memory(device)
    yield from operations(device)
    # One worker for all: its libraries take longer to load than all checks together.
    with closing(ForkedWorker(MappedWeights)) as worker:  # type: ignore[arg-type]
        yield from fresh_processes(worker)
        yield from device_in_children(worker, options)
        yield from label_isolation(worker)
    yield from frozen_backbone()


def folders(store: Path) -> Iterator[tuple[str, Path, str]]:
    """Checks of the folders that a run writes to.

    Args:
        store: Folder of the records.

    Yields:
        Purpose, path and problem of each folder; the problem is empty where there is none.
    """
    for name, folder in (("records", store), ("features and weights", cache_folder())):
        yield name, folder, _problem(folder)


def _problem(folder: Path) -> str:
    """Why a folder cannot hold the results of runs, or an empty string."""
    try:
        make_folder(folder)
        require_room(folder, ROOM)
    except OSError as error:
        return f"must be writable: {error.strerror}"
    free = shutil.disk_usage(folder).free / 2**30
    return f"needs up to {LEAST_DISK:g} GiB, {free:.1f} GiB are free" if free < LEAST_DISK else ""
