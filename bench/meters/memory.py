"""Clocks and memory meters.

Seconds are read from a monotonic clock after queued device work has finished. Memory is the peak above
what was held when the meter started: on CUDA what torch allocated, on the CPU the resident size of the
process.
"""

import ctypes
import gc
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import ClassVar

import psutil
import torch

MIB = 2**20


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
def garbage_collection_frozen() -> Iterator[None]:
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
