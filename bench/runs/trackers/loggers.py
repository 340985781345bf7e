"""Trackers on other loggers of Lightning."""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contracts.errors import UsageError
from bench.results.record import Record
from bench.runs.trackers.interface import PROJECT
from bench.runs.trackers.record_log import display_name, log_record, row_name, shown
from bench.spec.run_spec import RunSpec

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger


class LoggerTracker(ABC):
    """Tracker on one of Lightning's loggers, with a folder of the logger's name below the given folder.

    Attributes:
        name: Name of the tracker and of its folder.
        needs: Packages of which one is needed.
        has_tables: Whether it shows tables.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    has_tables: ClassVar[bool] = False

    def __init__(self, folder: Path, suite: str | None = None, predictions: bool = False) -> None:
        """Check that the logger's package is installed.

        Args:
            folder: Folder above the tracker's own.
            suite: Name of the suite, if there is one.
            predictions: Whether each run is to have a table of its predictions.

        Raises:
            UsageError: If it is not, and for a table of predictions.
        """
        if predictions and not self.has_tables:
            raise UsageError(f"log_predictions needs a tracker with tables, got {self.name}; use wandb or trackio")
        self.store, self.folder, self.suite, self.predictions = folder, folder / self.name, suite, predictions
        if self.needs and not any(find_spec(package) for package in self.needs):
            raise UsageError(
                f"--logger {self.name} needs the package {' or '.join(self.needs)}; pip install {self.needs[0]}"
            )

    def begin(self, id_: str, spec: RunSpec) -> None:  # noqa: B027 (nothing is open during a run)
        """Do nothing: these loggers are opened at the end of a run.

        Args:
            id_: Id of its record.
            spec: The run.
        """

    def __call__(self, record: Record) -> None:
        """Log a record.

        Args:
            record: The record.
        """
        spec = record.spec
        tags = {"group": row_name(spec), "suite": self.suite or "", "status": record.status}
        logger = self._logger(record.id, display_name(spec), shown(tags))
        log_record(logger, record)
        if self.predictions:
            self._log_predictions(logger, record)
        logger.finalize("success" if record.status == "ok" else "failed")

    @contextmanager
    def open(self, id_: str, name: str, group: str, job_type: str) -> Iterator["Logger"]:
        """Open a logger; see LightningTracker.

        Args:
            id_: Identifier.
            name: Display name.
            group: Group of the run.
            job_type: Kind of the run.

        Yields:
            The logger.
        """
        logger = self._logger(id_, shown(name), shown({"group": group, "job_type": job_type}))
        status = "failed"
        try:
            yield logger
            status = "success"
        finally:
            logger.finalize(status)

    def log_figures(self, logger: "Logger", figures: Mapping[str, Any]) -> None:  # noqa: B027 (nothing to log)
        """Do nothing: these loggers show no figures; the report's page has them.

        Args:
            logger: A logger from ``open``.
            figures: Figures by name.
        """

    def hint(self) -> str | None:
        """Folder of the log, or None if there is none."""
        return f"logged to {self.folder}" if self.folder.exists() else None

    def _log_predictions(self, logger: "Logger", record: Record) -> None:  # noqa: B027 (most have no tables)
        """Log the table of a record's predictions, where the tracker has tables."""

    @abstractmethod
    def _logger(self, id_: str, name: str, tags: dict[str, str]) -> "Logger":
        """Lightning's logger of one run."""


def folder_name(name: str) -> str:
    """A run's name as the name of a folder: letters, digits, ``_``, ``.``, ``=``, ``@``, ``,`` and ``-`` alone."""
    return re.sub(r"[^\w.=@,-]", "-", name)


class TensorBoardTracker(LoggerTracker):
    """Tracker on TensorBoard's event files."""

    name = "tensorboard"
    needs = ("tensorboard", "tensorboardX")

    def _logger(self, id_: str, name: str, tags: dict[str, str]) -> "Logger":
        from lightning.pytorch.loggers import TensorBoardLogger

        self.folder.mkdir(parents=True, exist_ok=True)
        return TensorBoardLogger(self.folder, name=folder_name(name), version=id_)


class CsvTracker(LoggerTracker):
    """Tracker on files ``metrics.csv``."""

    name = "csv"

    def _logger(self, id_: str, name: str, tags: dict[str, str]) -> "Logger":
        from lightning.pytorch.loggers import CSVLogger

        self.folder.mkdir(parents=True, exist_ok=True)
        return CSVLogger(self.folder, name=folder_name(name), version=id_, flush_logs_every_n_steps=1)


class MlflowTracker(LoggerTracker):
    """Tracker on MLflow, with the server of MLFLOW_TRACKING_URI; a tag has the record's id."""

    name = "mlflow"
    needs = ("mlflow",)

    def _logger(self, id_: str, name: str, tags: dict[str, str]) -> "Logger":
        from lightning.pytorch.loggers import MLFlowLogger

        # Without a server plain files do: MLflow needs permission to write them, and a database needs more packages.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        uri = os.environ.get("MLFLOW_TRACKING_URI") or self.folder.absolute().as_uri()
        return MLFlowLogger(PROJECT, name, tracking_uri=uri, tags={"bench_id": id_, **tags})
