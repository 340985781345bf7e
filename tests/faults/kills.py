"""A suite that is killed by SIGKILL at random moments and started again until it is complete."""

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from bench.results.prune import unnamed
from bench.results.store import Store
from bench.results.verify import problems
from tests.faults import program

LIMIT = 300.0
"""Seconds within which a program must end by itself."""
GONE = 5.0
"""Seconds within which all processes of a killed program must have ended."""
UNINTERRUPTED = 4
"""Most kills of one store; then it is completed."""


def kill_often(folder: Path, kills: int, seed: int = 0) -> Counter[str]:
    """Kill a suite at random moments, and check after each kill what was acknowledged.

    Args:
        folder: An empty folder.
        kills: Number of kills.
        seed: Seed of the moments.

    Returns:
        Counts: kills and completed suites, and of what must not be, by name.
    """
    moments, found = random.Random(seed), Counter[str]()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.program"])
    reference, longest = _reference(context, folder / "reference")
    number = 0
    while found["kills"] < kills:
        number += 1
        place = folder / str(number)
        for _ in range(moments.randint(1, UNINTERRUPTED)):
            process = _started(context, place)
            process.join(moments.uniform(0, longest))
            if process.exitcode is None:
                found["kills"] += 1
                _kill(process, found)
            _check(place, found)
            if process.exitcode == 0:
                break
        process = _started(context, place)
        process.join(LIMIT)
        found["hangs"] += process.exitcode is None
        found["suites"] += 1
        _check(place, found)
        records = {record.id: record.value for record in Store(place / "store")}
        found["wrong"] += records != reference
        found["leftovers"] += len(unnamed(Store(place / "store"), Store(place / "store")))
        shutil.rmtree(place)
    return found


def _reference(context: Any, place: Path) -> tuple[dict[str, float | None], float]:
    """Scores of a suite that nothing interrupts, and its seconds."""
    began = time.monotonic()
    process = _started(context, place)
    process.join(LIMIT)
    assert process.exitcode == 0, (place / "answers.errors").read_text()
    records = {record.id: record.value for record in Store(place / "store")}
    assert len(records) == len(program.specs())
    return records, time.monotonic() - began


def _started(context: Any, place: Path) -> Any:
    place.mkdir(parents=True, exist_ok=True)
    process = context.Process(target=program.main, args=(place / "store", place / "cache", place / "answers"))
    process.start()
    return process


def _kill(process: Any, found: Counter[str]) -> None:
    """Kill the program alone, and see its measuring processes end with it."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        children = []
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    _, alive = psutil.wait_procs([child for child in children if _measures(child)], timeout=GONE)
    found["orphans"] += len(alive)
    for child in alive:
        child.kill()


def _measures(process: psutil.Process) -> bool:
    """Whether a child is more than Python's own tracker of resources, which ends when its pipe closes."""
    try:
        return "resource_tracker" not in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _check(place: Path, found: Counter[str]) -> None:
    """Compare a store to what was acknowledged."""
    store = Store(place / "store")
    for id_, (status, value) in program.acknowledged(place / "answers").items():
        try:
            record = store.read(store.path(id_))
        except Exception:
            found["lost"] += 1
        else:
            found["wrong"] += (record.status, str(record.value)) != (status, value)
    if store.root.exists() and store.paths():
        found["not verified"] += len(list(problems(store)))
    errors = place / "answers.errors"
    if errors.exists():
        found["tracebacks"] += errors.read_text(errors="replace").count("Traceback")
        errors.unlink()
