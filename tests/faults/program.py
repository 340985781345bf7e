"""A small suite for disks that fill up and for stores that several processes share."""

from pathlib import Path
from typing import Any

from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.results.store import Store
from bench.runs.report import Report
from bench.runs.runner import Runner, same_process
from tests.helpers.runs import Notebook, grid

METHODS = ["faast", "knn", "linear_probe"]


def specs() -> list[Any]:
    """The runs of the suite."""
    return grid(methods=METHODS, shots=[1], seeds=[0, 1], episodes=2)


def run(root: Path, reporter: Notebook, rescue: Path | None = None) -> Report:
    """Run the suite, or what is left of it."""
    quiet_lightning()
    devices = DeviceOptions(accelerator="cpu", batch_size=16)
    runner = Runner(Store(root), devices, reporter, isolate=same_process, rescue=rescue)
    return runner.run(specs())
