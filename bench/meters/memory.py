"""Memory meters.

Peak memory is measured above the level at the start of the meter: bytes allocated by torch on a CUDA device, the
resident size of the process on the CPU.
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

from bench.toolkit.collection import objects_are_frozen

MIB = 2**20
"""Bytes of one MiB."""


class MemoryMeter(ABC):
    """Meter of the peak memory since ``start``, in MiB.

    Attributes:
        name: Name of the meter in records.
        baseline: MiB in use at the start, or at the start of an earlier stage whose memory counts in this one.
        kept: MiB above the baseline that were still in use at ``note_kept``.
    """

    name: ClassVar[str]
    baseline: float
    kept: float = 0.0

    @abstractmethod
    def start(self) -> None:
        """Discard earlier peaks and set the baseline to the present level."""

    @abstractmethod
    def highest(self) -> float:
        """Highest MiB in use since ``start``; may be read repeatedly."""

    @abstractmethod
    def present(self) -> float:
        """MiB in use now, without what is freed already."""

    def note_kept(self) -> None:
        """Note what is in use beyond the baseline, for a later meter that goes on from this one."""
        self.kept = max(0.0, self.present() - self.baseline)

    def go_on_from(self, earlier: "MemoryMeter") -> None:
        """Count what an earlier meter noted as kept, just after this one's start.

        Args:
            earlier: The meter; what was taken between the two is not counted.
        """
        self.baseline -= earlier.kept

    def reserved(self) -> float | None:
        """Highest MiB held by an accelerator's allocator, in use or in reserve; None without an accelerator."""
        return None

    def stop(self) -> None:
        """Release the resources of the meter; its measurements can still be read."""
        return

    def peak(self) -> float:
        """Highest MiB above the baseline since ``start``."""
        return max(0.0, self.highest() - self.baseline)


class UnmeasuredMemory(MemoryMeter):
    """No measurement, where only answers count: returning freed memory to the system takes longer than many a stage."""

    name = "none"
    baseline = 0.0

    def start(self) -> None:
        """Free what a Trainer and its module hold in a circle, so that it does not add up."""
        gc.collect()

    def highest(self) -> float:
        """Nothing was measured."""
        return 0.0

    def present(self) -> float:
        """Nothing is measured."""
        return 0.0


class CudaMemory(MemoryMeter):
    """Memory allocated by torch on a CUDA device."""

    name = "cuda_max_memory_allocated"

    def __init__(self, device: torch.device) -> None:
        self.device = device
        # A stage may be the first in its process that needs the device; torch has no counters of its memory before.
        torch.cuda.init()  # type: ignore[no-untyped-call]

    def start(self) -> None:
        """Free what dead methods hold, and reset torch's peak counter."""
        gc.collect()
        torch.cuda.reset_peak_memory_stats(self.device)
        self.baseline = self.present()

    def highest(self) -> float:
        """Highest MiB allocated by torch."""
        return torch.cuda.max_memory_allocated(self.device) / MIB

    def present(self) -> float:
        """MiB allocated by torch."""
        return torch.cuda.memory_allocated(self.device) / MIB

    def go_on_from(self, earlier: MemoryMeter) -> None:
        """Count all that was allocated since: a trainer moves to the device what was made on the CPU."""
        self.baseline = earlier.baseline

    def reserved(self) -> float | None:
        """Highest MiB that torch's allocator reserved on the device."""
        return torch.cuda.max_memory_reserved(self.device) / MIB


def release_freed_memory() -> None:
    """Return freed heap pages to the system, so that their reuse shows as growth."""
    gc.collect()
    if sys.platform == "linux":
        try:
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        except (OSError, AttributeError):
            return  # other C libraries than glibc have no malloc_trim


@contextmanager
def garbage_collection_frozen() -> Iterator[None]:
    """Context in which garbage collections skip the objects that exist at its start.

    A collection takes half a second with all loaded libraries and some milliseconds without them. A Trainer and its
    module refer to each other, so that only a collection frees a method's tensors. It has to be cheap enough to run
    before each measured stage, or hundreds of groups of episodes fill the memory.

    Within another such context, and in a process that has frozen its objects for good, nothing changes at the end.
    """
    outer = objects_are_frozen()
    gc.collect()
    if not outer:
        gc.freeze()
    try:
        yield
    finally:
        if not outer:
            gc.unfreeze()


class LoadedObjects:
    """What a worker has loaded for its units of work; collections skip it, see garbage_collection_frozen.

    In a process that has frozen its objects for good they stay frozen.
    """

    def __init__(self) -> None:
        self._modules = 0
        self._for_good = objects_are_frozen()

    def skip(self) -> None:
        """Let collections skip what exists now; where nothing was imported since the last call, nothing is done."""
        if len(sys.modules) != self._modules:
            self._unfreeze()
            gc.collect()
            gc.freeze()
            self._modules = len(sys.modules)

    def release(self) -> None:
        """Let collections see everything again."""
        self._unfreeze()
        self._modules = 0

    def _unfreeze(self) -> None:
        if not self._for_good:
            gc.unfreeze()


class LinuxPeakMemory(MemoryMeter):
    """Linux's own high-water mark of the resident size (VmHWM), reset at the start."""

    name = "linux_vm_hwm"
    _status = Path("/proc/self/status")
    _reset = Path("/proc/self/clear_refs")

    @classmethod
    @cache
    def is_available(cls) -> bool:
        """Whether the kernel lets this process reset its mark.

        Cached, because probing resets the peak and would corrupt a running measurement.

        Returns:
            False on other systems than Linux, and where ``/proc`` is not writable.
        """
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
        """Reset the mark to the present resident size."""
        release_freed_memory()
        self._reset.write_text("5")
        self.baseline = self._read("VmRSS")

    def highest(self) -> float:
        """Highest resident size in MiB."""
        return self._read("VmHWM")

    def present(self) -> float:
        """Resident size in MiB."""
        release_freed_memory()
        return self._read("VmRSS")


class SampledMemory(MemoryMeter):
    """Resident size, sampled by a thread every millisecond; shorter peaks may be missed."""

    name = "sampled_rss"

    def __init__(self) -> None:
        self.process = psutil.Process()
        self.thread: threading.Thread | None = None

    def start(self) -> None:
        """Restart sampling."""
        self.stop()
        self.baseline = self.top = self.present()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)
        self.thread.start()

    def _sample(self) -> None:
        while not self.done.wait(0.001):
            self.top = max(self.top, self._resident())

    def _resident(self) -> float:
        return self.process.memory_info().rss / MIB

    def highest(self) -> float:
        """Highest sample in MiB, the present resident size included."""
        self.top = max(self.top, self._resident())
        return self.top

    def present(self) -> float:
        """Resident size in MiB."""
        release_freed_memory()
        return self._resident()

    def stop(self) -> None:
        """End the sampling thread."""
        if self.thread is not None:
            self.done.set()
            self.thread.join()
            self.thread = None


def memory_meter(device: torch.device) -> MemoryMeter:
    """The most exact memory meter that a device and this system have.

    Args:
        device: Device that is measured.

    Returns:
        CudaMemory on CUDA; LinuxPeakMemory, or SampledMemory where it is not available, elsewhere.
    """
    if device.type == "cuda":
        return CudaMemory(device)
    return LinuxPeakMemory() if LinuxPeakMemory.is_available() else SampledMemory()
