"""Executor: the interface of what executes units of work."""

from dataclasses import dataclass
from typing import Protocol

from bench.runs.executors.unit import Unit, UnitOptions, UnitResult


@dataclass(frozen=True)
class LostWorker:
    """Outcome of a unit whose worker ended before it answered.

    Attributes:
        reason: What is known about the end, in one line.
    """

    reason: str


class Executor(Protocol):
    """Executes units in other processes.

    Attributes:
        name: Name on the command line.
    """

    name: str

    def start(self, options: UnitOptions) -> None:
        """Get ready to execute units.

        Args:
            options: What all units share.

        Raises:
            UsageError: If the executor cannot be used with its arguments.
        """

    def device(self) -> tuple[str, str]:
        """Kind and model of the device on which units are executed, such as ``("cuda", "NVIDIA A100-SXM4-80GB")``.

        Raises:
            UsageError: If the device cannot be used there.
        """

    def room(self) -> int:
        """Number of further units that would begin now or soon."""

    def submit(self, unit: Unit) -> None:
        """Execute a unit.

        Args:
            unit: The unit.
        """

    def finished(self, seconds: float) -> list[tuple[Unit, UnitResult | LostWorker]]:
        """Outcomes that were not returned before.

        Args:
            seconds: Time to wait for the first of them.

        Returns:
            Units with their outcomes; none if there are none in time.
        """

    def close(self) -> None:
        """End all units under way."""
