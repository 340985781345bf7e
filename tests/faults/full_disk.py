"""A suite on disks of every size up to the one it needs, so that each of its writes finds the disk full once."""

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contracts import BenchError
from bench.results.store import Store
from bench.results.verify import problems
from tests.faults import program
from tests.helpers.runs import Notebook

PAGE = 4096
"""Bytes by which one disk is larger than the one before."""


def may_mount() -> bool:
    """Whether this process may mount a disk in memory."""
    return (
        os.geteuid() == 0 and subprocess.run(["mount", "--version"], capture_output=True, check=False).returncode == 0
    )


@contextmanager
def disk(folder: Path, size: int) -> Iterator[Path]:
    """A disk of a size in bytes, in memory."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def fill_disks(folder: Path, step: int = PAGE) -> Counter[str]:
    """Run a suite on disks that fill up, until one holds it.

    Args:
        folder: An empty folder.
        step: Bytes by which one disk is larger than the one before.

    Returns:
        Counts: disks, and those that were full, and of what must not be, by name.
    """
    found = Counter[str]()
    whole = program.run(folder / "whole", Notebook())
    reference = {record.id: record.value for record in whole.records}
    size = PAGE
    while True:
        found["disks"] += 1
        with disk(folder / "disk", size) as place:
            store, reporter, rescue = Store(place / "store"), Notebook(), Store(folder / f"rescue-{size}")
            try:
                report = program.run(store.root, reporter, rescue=rescue.root)
            except BenchError as error:
                found["full"] += 1
                found["unclear"] += "\n" in str(error) or "space" not in str(error)
                refused = True
            else:
                refused = False
                full = report.failed
                found["full"] += full
                found["unclear"] += full and not any("space" in line for line in report.problems)
                # What could not be kept on the disk is still a result of the call.
                found["wrong"] += {record.id: record.value for record in report.records} != reference
            kept = {record.id: record.value for record in store} if store.paths() else {}
            found["wrong"] += any(reference[id_] != value for id_, value in kept.items())
            found["not verified"] += len(list(problems(store))) if kept else 0
            if not refused:
                # What could not be kept on the disk is in the other store.
                rescued = {record.id: record.value for record in rescue} if rescue.paths() else {}
                found["lost"] += kept | rescued != reference
                if not full:
                    return found
        size += step
