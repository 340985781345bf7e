"""Four processes that share a store, of which one is killed and another stopped for a while."""

import multiprocessing
import random
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from bench.results.store import Store
from bench.results.verify import problems
from tests.faults import program
from tests.faults.disturbed import LIMIT, disturbed
from tests.helpers.runs import Notebook


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
    context = multiprocessing.get_context("spawn")
    whole = program.run(folder / "whole", Notebook())
    reference = {record.id: record.value for record in whole.records}
    for number in range(rounds):
        root = folder / str(number)
        answered = disturbed(context, _work, root, partial(_wait_for_records, root, moments), moments, found)
        ran = Counter(run for runs, _ in answered for run in runs)
        found["run twice"] += sum(count - 1 for count in ran.values())
        found["wrong"] += sum(seen != reference for _, seen in answered)
        found["lost"] += {record.id: record.value for record in Store(root)} != reference
        found["not verified"] += len(list(problems(Store(root))))
        found["rounds"] += 1
    return found


def _wait_for_records(root: Path, moments: random.Random, process: Any) -> None:
    """Wait until some of the runs are recorded, and a moment more."""
    some = moments.randrange(len(program.specs()))
    while len(list(root.glob("*.json"))) < some and process.exitcode is None:
        process.join(0.02)
    process.join(moments.uniform(0, 0.2))


def _work(root: Path, barrier: Any, answers: Any) -> None:
    reporter = Notebook()
    barrier.wait(LIMIT)
    report = program.run(root, reporter)
    answers.put((reporter.ran, {record.id: record.value for record in report.records}))
