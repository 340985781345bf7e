"""Wall time and peak memory of one stage."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from bench.meters.memory import MemoryMeter, UnmeasuredMemory, memory_meter

T = TypeVar("T")


def now(device: torch.device) -> float:
    """Synchronised clock reading.

    Args:
        device: Device whose queued work is finished first.

    Returns:
        Seconds on a monotonic clock; only differences have a meaning.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()


@dataclass(frozen=True)
class StageCost:
    """Measured cost of one stage.

    Attributes:
        seconds: Wall time on the synchronised clock.
        peak_memory_mb: Peak memory above the baseline, in MiB.
        memory_meter: Name of the memory meter.
        reserved_memory_mb: Peak memory reserved by the accelerator's allocator, in MiB; None without an accelerator.
    """

    seconds: float
    peak_memory_mb: float
    memory_meter: str
    reserved_memory_mb: float | None = None


class StageMeter:
    """Meter of one stage, started and stopped by the hooks of a Lightning module.

    Attributes:
        after: An earlier stage whose results are still in use; its memory baseline is the baseline of this one.
        memory: The memory meter, from the start on.
        measures_memory: Whether memory is measured.
        seconds_before: Seconds of work that belongs to the stage and was done before a trainer started it.
        cost: The measured cost, from the end on.
    """

    memory: MemoryMeter
    cost: StageCost

    def __init__(self, after: "StageMeter | None" = None) -> None:
        """Prepare a meter.

        Args:
            after: An earlier stage whose results are still in use; its memory baseline is the baseline of this one.
        """
        self.after = after
        self.measures_memory = True
        self.seconds_before = 0.0
        self._before: StageMeter | None = None

    def count(self, before: "StageMeter") -> None:
        """Count work before the start as a part of this stage: its seconds, its peak and the memory that it kept.

        Args:
            before: Meter of that work, which has just stopped.
        """
        before.memory.note_kept()
        self.seconds_before += before.cost.seconds
        self._before = before

    def start(self, device: torch.device) -> None:
        """Begin the stage.

        Args:
            device: Device that the stage runs on.
        """
        self.device = device
        # Memory first, so that the clock does not count the work of the memory meter.
        self.memory: MemoryMeter = memory_meter(device) if self.measures_memory else UnmeasuredMemory()
        self.memory.start()
        if self.after is not None:
            self.memory.baseline = self.after.memory.baseline
        elif self._before is not None:
            self.memory.go_on_from(self._before.memory)
        self.began = now(device)

    def elapsed(self) -> float:
        """Seconds since the start and those before it, read after queued device work has finished."""
        return self.seconds_before + now(self.device) - self.began

    def stop(self) -> None:
        """End the stage and set ``cost``."""
        # Clock first, so that it does not count the work of the memory meter.
        seconds, peak = self.elapsed(), self.memory.peak()
        if self._before is not None:
            peak = max(peak, self._before.cost.peak_memory_mb)
        self.memory.stop()
        self.cost = StageCost(seconds, peak, self.memory.name, self.memory.reserved())


def measured_before(
    work: Callable[[], T], device: torch.device, measured: bool, after: StageMeter | None = None
) -> tuple[T, StageMeter | None]:
    """Do work of a stage that comes before its trainer starts.

    Args:
        work: The work.
        device: Device of the stage.
        measured: Whether costs are measured.
        after: An earlier stage whose results are still in use; None for none.

    Returns:
        What the work returns, and its meter for ``StageMeter.count``; None where nothing is measured.
    """
    if not measured:
        return work(), None
    meter = StageMeter(after)
    meter.start(device)
    result = work()
    meter.stop()
    return result, meter
