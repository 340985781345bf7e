"""Conditions of a measurement: the host, and what else ran on it meanwhile; see docs/budgets.md."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

OTHERS_SHARE = 0.1
"""Share of the usable cores' time above which other processes count as company."""
STEAL_SHARE = 0.05
"""Share of the usable cores' time above which other guests of the same machine count as company."""
LEAST_SECONDS = 0.05
"""CPU seconds of others that are never company: the system counts them in steps of a hundredth."""


class Conditions(BaseModel):
    """The host of a measurement, and its load over the measured time.

    host: its name. cores: those that the process may use. threads: torch's. memory_mb: of the host.
    wall_seconds: of the measurement; cpu_seconds: CPU time of the measuring process in it.
    others_cpu_seconds, steal_seconds: CPU time of other processes, and of other guests of the machine, on the same
    cores. pressure_seconds: during which some process waited for a core (``/proc/pressure/cpu``). throttled_seconds:
    during which a limit of the cgroup stopped the process. load: processes that ran or waited, over the last minute.
    frequency_mhz: of the cores. gpu_processes: others that use the device. gpu_clock_mhz: of its multiprocessors.
    gpu_throttling: reasons for which the device slowed down. None where the system does not say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str
    cpu: str
    cores: int
    threads: int
    memory_mb: int
    wall_seconds: float
    cpu_seconds: float
    others_cpu_seconds: float | None = None
    steal_seconds: float | None = None
    pressure_seconds: float | None = None
    throttled_seconds: float | None = None
    load: float | None = None
    frequency_mhz: float | None = None
    gpu_processes: int | None = None
    gpu_clock_mhz: float | None = None
    gpu_throttling: tuple[str, ...] = ()

    @property
    def company(self) -> tuple[str, ...]:
        """Why the measurement was made in company; empty where it was alone."""
        available = self.cores * self.wall_seconds
        found = []
        if (others := self.others_cpu_seconds or 0.0) > max(OTHERS_SHARE * available, LEAST_SECONDS):
            found.append(f"other processes used {others / available:.0%} of {self.cores} cores")
        if (steal := self.steal_seconds or 0.0) > max(STEAL_SHARE * available, LEAST_SECONDS):
            found.append(f"other guests of the machine took {steal / available:.0%} of {self.cores} cores")
        if (stopped := self.throttled_seconds or 0.0) > max(STEAL_SHARE * self.wall_seconds, LEAST_SECONDS):
            found.append(f"the cgroup's limit stopped it for {stopped:.2g} s")
        if self.gpu_processes:
            found.append(f"{self.gpu_processes} other processes on the device")
        if self.gpu_throttling:
            found.append(f"the device slowed down: {', '.join(self.gpu_throttling)}")
        return tuple(found)


def combined(parts: Sequence[Conditions]) -> Conditions:
    """The conditions of several measurements together.

    Args:
        parts: Conditions on one host, one at least.

    Returns:
        Sums of seconds, the highest load and the lowest frequencies. CPU time of others, which the system counts in
        ticks, may be slightly negative in a part, and is 0 or more in the sum.
    """
    last = parts[-1]
    changes: dict[str, object] = {}
    for names, reduce in (
        (SUMMED, sum),
        (("load", "gpu_processes"), max),
        (("frequency_mhz", "gpu_clock_mhz"), min),
    ):
        for name in names:
            values = [value for part in parts if (value := getattr(part, name)) is not None]
            changes[name] = reduce(values) if values else None
    if last.others_cpu_seconds is not None:
        changes["others_cpu_seconds"] = max(0.0, sum(part.others_cpu_seconds or 0.0 for part in parts))
    changes["gpu_throttling"] = tuple(sorted({reason for part in parts for reason in part.gpu_throttling}))
    return last.model_copy(update=changes)


SUMMED = (
    "wall_seconds", "cpu_seconds", "others_cpu_seconds", "steal_seconds", "pressure_seconds", "throttled_seconds",
)  # fmt: skip
"""Fields of Conditions that add up over measurements."""
