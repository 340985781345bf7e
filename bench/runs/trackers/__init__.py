"""Trackers: loggers of Lightning that every new record is also sent to; W&B by default.

Local records are the source of truth: a failing tracker is reported and fails no run.
"""

from collections.abc import Callable
from pathlib import Path

from bench.contracts.errors import did_you_mean
from bench.runs.trackers.interface import LightningTracker, Tracker
from bench.runs.trackers.loggers import CsvTracker, LoggerTracker, MlflowTracker, TensorBoardTracker
from bench.runs.trackers.record_log import display_name, log_facts, metrics
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
    "WandbTracker",
    "display_name",
    "log_facts",
    "make_trackers",
    "metrics",
]

TRACKERS: dict[str, Callable[[Path, str | None], LightningTracker]] = {
    WandbTracker.name: WandbTracker,
    TensorBoardTracker.name: TensorBoardTracker,
    CsvTracker.name: CsvTracker,
    MlflowTracker.name: MlflowTracker,
}
"""Trackers by name; each is made from a folder and a group."""

CHOICES = (*TRACKERS, "none")
"""Values of ``--logger``."""


def make_trackers(name: str, folder: Path, group: str | None = None) -> tuple[LightningTracker, ...]:
    """The tracker of a name.

    Args:
        name: One of CHOICES.
        folder: Folder that the tracker writes to.
        group: Group of all runs; by default each run's task.

    Returns:
        The tracker; none for "none".

    Raises:
        UsageError: For an unknown name, or a tracker whose package is not installed.
    """
    if name not in CHOICES:
        raise did_you_mean("logger", name, CHOICES)
    return (TRACKERS[name](folder, group),) if name in TRACKERS else ()
