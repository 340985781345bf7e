"""Executor: the interface of what executes units of work."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Protocol

from bench.engine.trainer import DeviceOptions

TRIES = 3
"""Times that a unit is handed out whose worker ended before it answered."""


@dataclass(frozen=True)
class LostWorker:
    """Outcome of a unit whose worker ended before it answered.

    Attributes:
        reason: What is known about the end, in one line.
    """

    reason: str

    def after_all_tries(self) -> str:
        """The reason of a failure, where this was the last try."""
        return f"its worker ended {TRIES} times before it answered: {self.reason}"


@dataclass(frozen=True)
class Refused:
    """Outcome of a unit that ends the call, because what it describes cannot be executed.

    Attributes:
        error: The error.
    """

    error: BaseException


class Work(Protocol):
    """A unit of work, which is sent to a worker: a run, or a trial of a sweep."""

    @property
    def id(self) -> str:
        """Name of the unit, unique in its call."""

    def kept(self) -> Hashable:
        """What a worker has loaded after the unit, and need not load for another unit with the same."""


class WorkRunner(Protocol):
    """Executes the units of a call, one after the other, in a worker."""

    def execute(self, unit: Any) -> object:
        """Execute a unit.

        Args:
            unit: The unit.

        Returns:
            What is sent back.

        Raises:
            UsageError: If the unit cannot be executed as it is described.
        """

    def close(self) -> None:
        """Release everything that is kept for further units."""


class WorkOptions(Protocol):
    """What all units of a call share; it is sent to each worker."""

    @property
    def devices(self) -> DeviceOptions:
        """Device of the units."""

    def runner(self) -> WorkRunner:
        """Make what executes units, in a worker."""


class Executor(Protocol):
    """Executes units in other processes.

    Attributes:
        name: Name on the command line.
    """

    name: str

    def start(self, options: WorkOptions) -> None:
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

    def places(self) -> int:
        """Number of units that are executed at once."""

    def room(self) -> int:
        """Number of further units that would begin now or soon."""

    def submit(self, unit: Work) -> None:
        """Execute a unit.

        Args:
            unit: The unit.
        """

    def finished(self, seconds: float) -> list[tuple[Work, object]]:
        """Outcomes that were not returned before.

        Args:
            seconds: Time to wait for the first of them.

        Returns:
            Units, each with what its runner sent back, a LostWorker or a Refused; none if there are none in time.
        """

    def close(self) -> None:
        """End all units under way."""
