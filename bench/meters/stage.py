"""Wall time and peak memory of one stage."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from bench.meters.memory import memory_meter


def now(device: torch.device) -> float:
    """Seconds, read after queued work on ``device`` has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@dataclass(frozen=True)
class StageCost:
    """What one stage took: seconds on the synchronised clock and peak MiB above the baseline.

    Of several ranks, the slowest and the largest count. reserved_memory_mb: see MemoryMeter.reserved.
    """

    seconds: float
    peak_memory_mb: float
    memory_meter: str
    reserved_memory_mb: float | None = None


class StageMeter:
    """Measures one stage; started and stopped by the hooks of a Lightning module."""

    def __init__(self, after: "StageMeter | None" = None) -> None:
        """``after``: an earlier stage whose memory baseline this one is counted from, because what that
        stage left behind is still needed.
        """
        self.after = after

    def start(self, device: torch.device) -> None:
        """Begin: memory first, so that the clock does not count the meter's own work."""
        self.device = device
        self.memory = memory_meter(device)
        self.memory.start()
        if self.after is not None:
            self.memory.baseline = self.after.memory.baseline
        self.paused = 0.0
        self.began = now(device)

    def elapsed(self) -> float:
        """Seconds since the start, pauses left out, once queued work on the device has finished."""
        return now(self.device) - self.began - self.paused

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Stop the clock for what is no part of the stage, such as an evaluation; memory counts on."""
        began = now(self.device)
        try:
            yield
        finally:
            self.paused += now(self.device) - began

    def stop(self) -> None:
        """End: clock first, for the same reason."""
        seconds, peak = _of_the_slowest_rank(self.elapsed(), self.memory.peak(), self.device)
        self.memory.stop()
        self.cost = StageCost(seconds, peak, self.memory.name, self.memory.reserved())


def _of_the_slowest_rank(seconds: float, peak: float, device: torch.device) -> tuple[float, float]:
    """The largest over all ranks of a distributed run, each by itself."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return seconds, peak
    both = torch.tensor([seconds, peak], dtype=torch.float64, device=device)
    torch.distributed.all_reduce(both, op=torch.distributed.ReduceOp.MAX)
    return float(both[0]), float(both[1])
