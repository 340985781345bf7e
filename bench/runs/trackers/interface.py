"""Interface of trackers."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from bench.results.record import Record
from bench.spec.run_spec import RunSpec

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

PROJECT = "faast-bench"
"""Project of all runs, in trackers that have projects."""


class Tracker(Protocol):
    """Receiver of every new run."""

    def begin(self, id_: str, spec: RunSpec) -> None:
        """Start a run.

        Args:
            id_: Id of its record.
            spec: The run.
        """

    def __call__(self, record: Record) -> None:
        """Log a finished run.

        Args:
            record: Its record.
        """

    def hint(self) -> str | None:
        """A note for the user at the end, or None."""


class LightningTracker(Tracker, Protocol):
    """A tracker that also logs studies and trainings, through a logger of Lightning.

    Attributes:
        name: Its name in the table of trackers.
    """

    name: ClassVar[str]

    def open(self, id_: str, name: str, group: str, job_type: str) -> AbstractContextManager["Logger"]:
        """Open a logger for a study or a training; it is finished at the end of the context.

        Args:
            id_: Identifier; the same one continues an earlier log where the tracker can.
            name: Display name.
            group: Group of the run.
            job_type: "sweep" or "readouts".

        Returns:
            Context of the logger.
        """

    def log_figures(self, logger: "Logger", figures: Mapping[str, Any]) -> None:
        """Log plotly figures, where the tracker shows figures.

        Args:
            logger: A logger from ``open``.
            figures: Figures by name.
        """
