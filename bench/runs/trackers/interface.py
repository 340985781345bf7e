"""The interface of trackers."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from bench.results.record import Record
from bench.spec.suite import RunSpec

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

PROJECT = "faast-bench"
"""Project of all runs, in trackers that have projects."""


class Tracker(Protocol):
    """Receives every new run."""

    def begin(self, id_: str, spec: RunSpec) -> None:
        """A run begins, whose record will have this id."""

    def __call__(self, record: Record) -> None:
        """A run has ended."""

    def hint(self) -> str | None:
        """A note for the user at the end, or None."""


class LightningTracker(Tracker, Protocol):
    """A tracker that also takes studies and trainings, through a logger of Lightning.

    Attributes:
        name: Its name in the table of trackers.
    """

    name: ClassVar[str]

    def open(self, id_: str, name: str, group: str, job_type: str) -> AbstractContextManager["Logger"]:
        """A logger of its own for a study or a training, finished at the end.

        Args:
            id_: Identifier; the same one continues what was logged before where the tracker can.
            name: Name that people see.
            group: Group of the run.
            job_type: "sweep" or "readouts".
        """

    def log_figures(self, logger: "Logger", figures: Mapping[str, Any]) -> None:
        """Log plotly figures by name, where the tracker shows figures."""
