"""How a worker process ended, and whether memory ran out: only torch, Python or the kernel can say so."""

import signal
from pathlib import Path

import torch

from bench.contracts import BenchError

ALLOCATOR_REFUSALS = ("DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory")
"""Texts of the plain RuntimeError that torch raises when the system refuses memory for a CPU tensor."""
TO_END = 5.0
"""Seconds within which a process ends after its connection was closed."""
SMALLER = "use a smaller batch size or model, or a machine with more memory"
COUNTERS = (Path("/proc/vmstat"), Path("/sys/fs/cgroup/memory/memory.oom_control"))
"""The kernel's counts of processes that it ended for want of memory: of the machine, and of a cgroup of version 1."""


class OutOfMemoryError(BenchError):
    """Memory ran out in a worker process: the kernel or torch's allocator says so."""


class WorkerEndedError(BenchError):
    """A worker process that ended before it answered, for a reason that is not known to be memory."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out.

    Args:
        error: Any error.

    Returns:
        True for the errors of Python, of torch's allocators and of the kernel's count; False for all others.
    """
    if isinstance(error, OutOfMemoryError | MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in ALLOCATOR_REFUSALS)


def kernel_kills() -> int:
    """Processes that the kernel has ended for want of memory, over all its counters; 0 where there are none."""
    total = 0
    for path in (*COUNTERS, *_cgroup_events()):
        try:
            lines = path.read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    return total


def _cgroup_events() -> list[Path]:
    """The file of events of this process's cgroup of version 2."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    own = [line.removeprefix("0::/") for line in lines if line.startswith("0::/")]
    return [Path("/sys/fs/cgroup", folder, "memory.events") for folder in own]


def ending_error(exitcode: int | None, kills_before: int) -> BenchError:
    """The error for a process that ended without an answer.

    Args:
        exitcode: Its exit status, or the negative number of the signal that ended it; None if it is not known.
        kills_before: ``kernel_kills`` before its work began.

    Returns:
        OutOfMemoryError where it was killed and the kernel has since ended a process for want of memory;
        WorkerEndedError with the name of the signal in all other cases.
    """
    if exitcode == -signal.SIGKILL and kernel_kills() > kills_before:
        return OutOfMemoryError(f"the kernel ended the worker process by SIGKILL, out of memory; {SMALLER}")
    how = "without an exit status" if exitcode is None else f"with exit status {exitcode}"
    if exitcode is not None and exitcode < 0:
        how = f"by {_signal_name(-exitcode)}"
    return WorkerEndedError(f"the worker process ended {how} before it answered; the next call tries again")


def _signal_name(number: int) -> str:
    try:
        named = signal.Signals(number)
    except ValueError:
        return f"signal {number}"
    described = signal.strsignal(number)
    return f"{named.name} ({described})" if described else named.name
