"""Clocks and memory meters.

Seconds are read from a monotonic clock after queued device work has finished. Memory is the peak above
what was held when the meter started: on CUDA what torch allocated, on the CPU the resident size of the
process.
"""

import ctypes
import gc
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Self

import psutil
import torch
from torch import nn
from transformers import PreTrainedModel

MIB = 2**20


def now(device: torch.device) -> float:
    """Seconds, read after queued work on ``device`` has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


class MemoryMeter(ABC):
    """Peak memory since ``start``, in MiB above the level at ``start``."""

    name: ClassVar[str]

    baseline: float
    """MiB held at the start, or at the start of an earlier stage that this one is counted with."""

    @abstractmethod
    def start(self) -> None:
        """Forget earlier peaks and take the present level as the baseline."""

    @abstractmethod
    def highest(self) -> float:
        """MiB held at the highest point since ``start``; may be asked again and again."""

    def reserved(self) -> float | None:
        """MiB that an accelerator's allocator held at most, for use or in reserve; None where there is none."""
        return None

    def stop(self) -> None:
        """Let go of what measuring takes; what was measured can still be asked for."""
        return

    def peak(self) -> float:
        """MiB above the baseline at the highest point since ``start``."""
        return max(0.0, self.highest() - self.baseline)


class CudaMemory(MemoryMeter):
    """What torch's allocator handed out on a CUDA device."""

    name = "cuda_max_memory_allocated"

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def start(self) -> None:
        """Reset torch's peak counter."""
        torch.cuda.reset_peak_memory_stats(self.device)
        self.baseline = torch.cuda.memory_allocated(self.device) / MIB

    def highest(self) -> float:
        """Peak of allocated bytes."""
        return torch.cuda.max_memory_allocated(self.device) / MIB

    def reserved(self) -> float | None:
        """Peak of what the allocator took from the device."""
        return torch.cuda.max_memory_reserved(self.device) / MIB


def _release_freed_memory() -> None:
    """Give freed heap pages back, so that using them again shows as growth."""
    gc.collect()
    if sys.platform == "linux":
        try:
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        except (OSError, AttributeError):
            return  # a C library other than glibc keeps no such pages


@contextmanager
def loaded_objects_set_aside() -> Iterator[None]:
    """Keep what is loaded by now out of garbage collections, which take half a second with it and some ms without.

    A Trainer and its module refer to each other, so that a method's tensors are freed by a collection alone: it has
    to be cheap enough to be made before each measured stage, or hundreds of groups of episodes fill the memory.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class LinuxPeakMemory(MemoryMeter):
    """The kernel's own high-water mark of the resident size (VmHWM), reset at the start."""

    name = "linux_vm_hwm"
    _status = Path("/proc/self/status")
    _reset = Path("/proc/self/clear_refs")

    @classmethod
    @cache
    def works(cls) -> bool:
        """Whether the kernel lets this process reset its mark. Asked once: asking resets it under whoever measures."""
        try:
            cls._reset.write_text("5")
        except OSError:
            return False
        return "VmHWM" in cls._status.read_text()

    def _read(self, field: str) -> float:
        for line in self._status.read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024  # the kernel counts in KiB
        raise OSError(f"{self._status} has no {field}")

    def start(self) -> None:
        """Reset the mark to the present size."""
        _release_freed_memory()
        self._reset.write_text("5")
        self.baseline = self._read("VmRSS")

    def highest(self) -> float:
        """The mark."""
        return self._read("VmHWM")


class SampledMemory(MemoryMeter):
    """The resident size, sampled by a thread every millisecond; may miss a shorter peak."""

    name = "sampled_rss"

    def __init__(self) -> None:
        self.process = psutil.Process()
        self.thread: threading.Thread | None = None

    def start(self) -> None:
        """Start sampling anew."""
        self.stop()
        _release_freed_memory()
        self.baseline = self.top = self._resident()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)
        self.thread.start()

    def _sample(self) -> None:
        while not self.done.wait(0.001):
            self.top = max(self.top, self._resident())

    def _resident(self) -> float:
        return self.process.memory_info().rss / MIB

    def highest(self) -> float:
        """The highest sample, or the present size."""
        self.top = max(self.top, self._resident())
        return self.top

    def stop(self) -> None:
        """End the thread."""
        if self.thread is not None:
            self.done.set()
            self.thread.join()
            self.thread = None


def memory_meter(device: torch.device) -> MemoryMeter:
    """The best meter for a device on this system."""
    if device.type == "cuda":
        return CudaMemory(device)
    return LinuxPeakMemory() if LinuxPeakMemory.works() else SampledMemory()


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


class TokenMeter:
    """Counts the tokens that language models read between ``with`` and its end, padding included.

    A token is read where the rows of a model's input embedding are looked up, in the model itself or in a copy of it.
    ``model`` is transformers' own, or None where there is none and nothing is counted.
    """

    def __init__(self, model: nn.Module | None) -> None:
        self.count = 0
        # Position embeddings have another shape.
        self._shape = model.get_input_embeddings().weight.shape if isinstance(model, PreTrainedModel) else None

    def __enter__(self) -> Self:
        if self._shape is not None:
            self._handle = nn.modules.module.register_module_forward_pre_hook(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        if self._shape is not None:
            self._handle.remove()

    def _see(self, module: nn.Module, args: tuple[object, ...]) -> None:
        if isinstance(module, nn.Embedding) and module.weight.shape == self._shape:
            self.count += sum(each.numel() for each in args if isinstance(each, torch.Tensor))
