"""Name of the processor."""

import platform
from functools import cache
from pathlib import Path


@cache
def cpu_model() -> str:
    """Name of the processor according to the system; Apple's chips are CPU and GPU in one."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
