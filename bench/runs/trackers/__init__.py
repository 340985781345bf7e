"""Trackers: loggers of Lightning that every new record is also sent to; W&B by default.

Local records are the source of truth: a failing tracker is reported and fails no run.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contracts.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from bench.runs.trackers.interface import LightningTracker

TRACKERS = {
    "wandb": ("wandb_tracker", "WandbTracker"),
    "tensorboard": ("loggers", "TensorBoardTracker"),
    "csv": ("loggers", "CsvTracker"),
    "mlflow": ("loggers", "MlflowTracker"),
    "trackio": ("trackio_tracker", "TrackioTracker"),
}
"""Module and class of each tracker, made from a folder, a suite's name, and whether predictions are logged."""

CHOICES = (*TRACKERS, "none")
"""Values of ``--logger``."""


def make_trackers(
    name: str, folder: Path, suite: str | None = None, predictions: bool = False
) -> tuple["LightningTracker", ...]:
    """The tracker of a name.

    Args:
        name: One of CHOICES.
        folder: Folder that the tracker writes to.
        suite: Name of the suite of all runs, if there is one.
        predictions: Whether each run is to have a table of its predictions.

    Returns:
        The tracker; none for "none".

    Raises:
        UsageError: For an unknown name, a tracker whose package is not installed, and for a table of predictions where
            the tracker has none.
    """
    if name not in CHOICES:
        raise did_you_mean("logger", name, CHOICES)
    if name not in TRACKERS:
        if predictions:
            raise UsageError("log_predictions needs a tracker with tables, got none; use wandb or trackio")
        return ()
    module, attribute = TRACKERS[name]
    return (getattr(import_module(f"bench.runs.trackers.{module}"), attribute)(folder, suite, predictions),)
