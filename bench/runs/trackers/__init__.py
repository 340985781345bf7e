"""Trackers: loggers of Lightning that every new record is also sent to; W&B by default.

Local records are the source of truth: a failing tracker is reported and fails no run.
"""

from collections.abc import Callable
from pathlib import Path

from bench.contracts.errors import UsageError, did_you_mean
from bench.runs.trackers.interface import LightningTracker, Tracker
from bench.runs.trackers.loggers import CsvTracker, LoggerTracker, MlflowTracker, TensorBoardTracker
from bench.runs.trackers.record_log import display_name, log_facts, metrics, row_name
from bench.runs.trackers.trackio_tracker import TrackioTracker
from bench.runs.trackers.wandb_tracker import WandbTracker

__all__ = [
    "CHOICES",
    "TRACKERS",
    "CsvTracker",
    "LightningTracker",
    "LoggerTracker",
    "MlflowTracker",
    "TensorBoardTracker",
    "Tracker",
    "TrackioTracker",
    "WandbTracker",
    "display_name",
    "log_facts",
    "make_trackers",
    "metrics",
    "row_name",
]

TRACKERS: dict[str, Callable[[Path, str | None, bool], LightningTracker]] = {
    WandbTracker.name: WandbTracker,
    TensorBoardTracker.name: TensorBoardTracker,
    CsvTracker.name: CsvTracker,
    MlflowTracker.name: MlflowTracker,
    TrackioTracker.name: TrackioTracker,
}
"""Trackers by name; each is made from a folder, a suite's name, and whether predictions are logged."""

CHOICES = (*TRACKERS, "none")
"""Values of ``--logger``."""


def make_trackers(
    name: str, folder: Path, suite: str | None = None, predictions: bool = False
) -> tuple[LightningTracker, ...]:
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
    return (TRACKERS[name](folder, suite, predictions),)
