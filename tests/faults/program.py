"""A small suite as a program of its own: it acknowledges each finished run, and measures in fresh processes."""

import os
from pathlib import Path
from typing import Any

from bench.costs import repeats
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.results.store import Store
from bench.runs.report import Report
from bench.runs.runner import Runner, fresh_processes, same_process
from tests.helpers.runs import Notebook, grid

METHODS = ["faast", "knn", "linear_probe"]


class Acknowledging(Notebook):
    """A reporter that writes the id and score of each record that is finished to a file, as a user would see them."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file

    def done(self, record: Any) -> None:
        line = f"{record.id} {record.status} {record.value}\n"
        with self.file.open("ab", buffering=0) as file:
            file.write(line.encode())


def acknowledged(file: Path) -> dict[str, tuple[str, str]]:
    """Status and score of each run that was acknowledged, by id."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return {id_: (status, value) for id_, status, value in map(str.split, lines)}


def specs() -> list[Any]:
    """The runs of the suite."""
    return grid(methods=METHODS, shots=[1], seeds=[0, 1], episodes=2)


def run(root: Path, reporter: Notebook, fresh: bool, rescue: Path | None = None) -> Report:
    """Run the suite, or what is left of it."""
    quiet_lightning()
    devices = DeviceOptions(accelerator="cpu", batch_size=16)
    runner = Runner(Store(root), devices, reporter, isolate=fresh_processes if fresh else same_process, rescue=rescue)
    return runner.run(specs())


def main(root: Path, cache: Path, answers: Path) -> None:
    """The program: as ``run`` in fresh processes, in a process group of its own.

    What is measured does not matter here, so that no median is refined.
    """
    os.setpgrp()
    os.environ["BENCH_CACHE"] = str(cache)
    repeats.REFINING = 0.0
    errors = os.open(answers.with_suffix(".errors"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(errors, 2)
    run(root, Acknowledging(answers), fresh=True)
