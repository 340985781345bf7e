"""Four processes that share a store, of which one is killed and another stopped for a while."""

import multiprocessing
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from bench.results.store import Store
from bench.results.verify import problems
from tests.faults import program
from tests.helpers.runs import Notebook

PROCESSES = 4
LIMIT = 300.0
"""Seconds within which all processes must have ended."""


def share(folder: Path, rounds: int, seed: int = 0) -> Counter[str]:
    """Let four processes run one suite on one store, kill one of them and stop another.

    Args:
        folder: An empty folder.
        rounds: Number of stores.
        seed: Seed of the moments.

    Returns:
        Counts: rounds, and of what must not be, by name.
    """
    moments, found = random.Random(seed), Counter[str]()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.program"])
    whole = program.run(folder / "whole", Notebook(), fresh=False)
    reference = {record.id: record.value for record in whole.records}
    for number in range(rounds):
        root = folder / str(number)
        barrier, answers = context.Barrier(PROCESSES), context.Queue()
        processes = [context.Process(target=_work, args=(root, barrier, answers)) for _ in range(PROCESSES)]
        for process in processes:
            process.start()
        killed, stopped, *others = processes
        killed.join(moments.uniform(0, 3))
        if killed.exitcode is None:
            killed.kill()
            found["killed"] += 1
        os.kill(stopped.pid, signal.SIGSTOP)
        stopped.join(moments.uniform(0, 1))
        os.kill(stopped.pid, signal.SIGCONT)
        for process in (stopped, *others):
            process.join(LIMIT)
            found["hangs"] += process.exitcode is None
            found["tracebacks"] += process.exitcode not in (0, None)
        answered = [answers.get() for process in (stopped, *others) if process.exitcode == 0]
        ran = Counter(run for runs, _ in answered for run in runs)
        found["run twice"] += sum(count - 1 for count in ran.values())
        found["wrong"] += sum(seen != reference for _, seen in answered)
        found["lost"] += {record.id: record.value for record in Store(root)} != reference
        found["not verified"] += len(list(problems(Store(root))))
        found["rounds"] += 1
    return found


def _work(root: Path, barrier: Any, answers: Any) -> None:
    reporter = Notebook()
    barrier.wait(LIMIT)
    report = program.run(root, reporter, fresh=False)
    answers.put((reporter.ran, {record.id: record.value for record in report.records}))
