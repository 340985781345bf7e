"""Tracker on trackio, which keeps runs in a database of the user's and shows them on a page of its own."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from bench.results.record import Record
from bench.runs.trackers.interface import PROJECT
from bench.runs.trackers.loggers import LoggerTracker

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

    from bench.runs.trackers.trackio_logger import TrackioLogger


class TrackioTracker(LoggerTracker):
    """Tracker on trackio, in its own folder (``TRACKIO_DIR``), or on the server or space of trackio's own variables."""

    name = "trackio"
    needs = ("trackio",)
    has_tables = True

    def __init__(self, folder: Path, suite: str | None = None, predictions: bool = False) -> None:
        super().__init__(folder, suite, predictions)
        self._used = False

    def hint(self) -> str | None:
        """Command that shows the runs, or None if there are none."""
        return f"logged to trackio; to see it: trackio show --project {PROJECT}" if self._used else None

    def _logger(self, id_: str, name: str, tags: dict[str, str]) -> "Logger":
        from bench.runs.trackers.trackio_logger import TrackioLogger

        self._used = True
        logger = TrackioLogger(id_, name, tags["group"])
        logger.log_hyperparams({each: value for each, value in tags.items() if each != "group"})
        return logger

    def _log_predictions(self, logger: "Logger", record: Record) -> None:
        from bench.runs.trackers.prediction_table import prediction_table

        if (table := prediction_table(self.store, record)) is not None:
            cast("TrackioLogger", logger).log_table("predictions", *table)
