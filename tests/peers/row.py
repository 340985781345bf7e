"""Rows of the table: a piece of work that this project and another program do on the same inputs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class NotRunError(Exception):
    """A row cannot be measured here; the message says what is needed."""


@dataclass(frozen=True)
class Place:
    """Where a row finds its inputs.

    Attributes:
        data: Folder of local data sets; None for stand-ins of the same shape.
        folder: An empty folder for files of this row.
        quick: Whether sizes are small, to see that both programs work and agree; times then mean nothing.
    """

    data: Path | None
    folder: Path
    quick: bool = False

    def size(self, full: int, quick: int) -> int:
        """How much of something: all of it, or little in a quick run."""
        return quick if self.quick else full

    def file(self, name: str) -> Path | None:
        """A file of the data folder, or None."""
        path = self.data and self.data / name
        return path if path and path.is_file() else None


@dataclass(frozen=True)
class Check:
    """Whether both results agree in one respect.

    Attributes:
        name: What is compared, one of the row's ``checks``.
        passed: Whether it agrees.
        finding: Both values, or their difference.
    """

    name: str
    passed: bool
    finding: str


@dataclass(frozen=True)
class Timed:
    """A result with the seconds of the part that counts, where that is not the whole call."""

    seconds: float
    result: Any


@dataclass(frozen=True)
class Ready:
    """A row with its inputs made.

    Attributes:
        ours: The work done by this project; what it returns is compared.
        peer: The same by the other program.
        compare: Checks of both results.
        rounds: Timed rounds, in each of which both do the work.
        warm: Calls before the first round, untimed: imports, page cache, kernels of these shapes.
        ours_share: Part of the whole work that ``ours`` does; its time is divided by it.
        peer_share: The same for ``peer``.
        note: What differs from the row's definition here, such as data that stand in.
    """

    ours: Callable[[], Any]
    peer: Callable[[], Any]
    compare: Callable[[Any, Any], Sequence[Check]]
    rounds: int = 3
    warm: Callable[[], Any] | None = None
    ours_share: float = 1.0
    peer_share: float = 1.0
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        name: Short name, for ``--row`` and for a history.
        peer: The other program with its version.
        work: What is done.
        goal: Least ratio of the peer's time to ours.
        reason: Why the ratio can be below the goal; printed only where it is.
        checks: Names of the checks that ``Ready.compare`` makes.
        make: Function that makes the inputs. Raises NotRunError.
    """

    name: str
    peer: str
    work: str
    goal: float
    reason: str
    checks: tuple[str, ...]
    make: Callable[[Place], Ready] = field(repr=False)
