"""CPU time of commands on made-up stores, for docs/performance.md: ``python -m tests.perf.commands JSON PAGE``.

With numbers of records after them it is that of commands on stores of these sizes, one round, in a table of its own.

The JSON file has rows of github-action-benchmark, ``customSmallerIsBetter``. CPU time is that of the process and of
all that it started, which other programs on the machine change far less than the time on a clock.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.engine.trainer import DeviceOptions
from bench.meters.cpu import cpu_model
from bench.results.predictions import QueryPredictions
from bench.results.record import Record, run_id
from bench.results.store import Store
from bench.runs.group import RunGroup
from bench.runs.plan import PlannedRun
from bench.runs.report import Report
from bench.runs.runner import Runner, same_process
from bench.spec.expand import expand, refusal
from bench.spec.run_spec import RunSpec
from bench.spec.suite import load_suite
from bench.toolkit.versions import PROTOCOL
from tests.helpers.big_store import big_store
from tests.helpers.docs import replace_section
from tests.helpers.places import ROOT
from tests.helpers.records import COSTS, write_fields
from tests.helpers.runs import Notebook
from tests.helpers.stores import fill

ROUNDS = 5
"""Timed rounds of a command, after one that is not."""
QUERIES = 2000
MANY_RECORDS = 10_000
QUIET = ["--logger", "none"]
MANY = """
name: many
blocks:
- {{task: digits, methods: [faast, knn, ridge, nearest_mean], shots: [1, 2, 3, 4, 5], seeds: 0-{last}, episodes: 5}}
"""
"""A suite of 20 runs of each seed from 0 to ``last``."""


_WATCH = """
import resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
clock, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
print(code, used.ru_utime + used.ru_stime, clock, used.ru_maxrss / 1024)
"""
"""Program that starts a command and prints what it took: the peak of a process begins with that of its parent."""


@dataclass(frozen=True)
class Command:
    """A row of the table.

    Attributes:
        what: What is timed.
        words: Words of the command.
        most: Seconds of CPU time that are promised.
        code: Its exit code.
        again: Whether a call that is not timed comes before, which makes what the command keeps for further calls.
    """

    what: str
    words: Sequence[str]
    most: float
    code: int = 0
    again: bool = True


def one_test_set(folder: Path, n_records: int) -> Path:
    """A store of methods that answer all queries of one test set, on two tasks."""
    store, rng = Store(folder), np.random.default_rng(0)
    for task in "tu":
        hard = rng.random(QUERIES)
        for number in range(n_records // 2):
            skill = 0.5 + 0.4 * number / n_records
            right = (0.7 * hard + 0.3 * rng.random(QUERIES) < skill).astype(float)
            predictions = QueryPredictions.of("accuracy", [np.arange(QUERIES)], [right[:, None]])
            spec = RunSpec(
                task=task, backbone="b", method=f"m{number}", shots=5, seed=0, episodes=1, queries=None, ways=None
            )
            identity = {**spec.model_dump(), "device": "cpu", "protocol": PROTOCOL, "data": "1"}
            scores = predictions.episode_scores()
            record = Record(
                id=run_id(identity), spec=spec, identity=identity, status="ok", value=scores[0], episode_scores=scores,
                n_queries=QUERIES, costs=COSTS, shared_draws=False,
            )  # fmt: skip
            store.write(record, predictions)
    return folder


def recorded_suite(folder: Path, suite: str) -> Path:
    """A store with a made-up record of each run of a suite, under the id that the run has here."""
    store, rng = Store(folder), np.random.default_rng(0)
    store.prepare()
    runner = Runner(store, DeviceOptions(), Notebook(), isolate=same_process)

    def scored(run: PlannedRun) -> dict[str, Any]:
        scores = rng.uniform(30, 90, run.spec.episodes).tolist()
        value = float(np.mean(scores))
        return {"status": "ok", "value": value, "episode_scores": scores, "n_queries": 100, "costs": COSTS}

    def record(group: RunGroup, together: Sequence[tuple[RunSpec, object]]) -> None:
        for run, _ in group._looked_up(together):
            reason = refusal(run.spec)
            made = run.record(**scored(run) if reason is None else {"status": "skipped", "reason": reason})
            write_fields(store.path(run.id), made.model_dump(mode="json"))

    specs = [spec for block in load_suite(suite).blocks for spec in expand(block)]
    runner._each_group(specs, Report(store, runner.reporter), runner.devices, record)
    return folder


def on_big_store(folder: Path, n_records: int) -> Iterator[Command]:
    """Rows of one large store, whose promises are in proportion to its records."""
    big, share = big_store(folder / "big", n_records).root, n_records / MANY_RECORDS
    for what, words, most, again in (
        ("the board as JSON", ["leaderboard", "--format", "json"], 2.0, True),
        ("the page", ["leaderboard", "--format", "html", "--out", str(folder / "big.html")], 5.0, False),
        ("`bench records verify`", ["records", "verify"], 20.0, False),
    ):
        yield Command(f"{what}, {n_records:,} records", [*words, "--store", str(big)], most * share, again=again)
    suite = folder / "many.yaml"
    suite.write_text(MANY.format(last=n_records // 20 - 1), encoding="utf-8")
    words = ["run", str(suite), *QUIET, "--store", str(recorded_suite(folder / "many", str(suite)))]
    yield Command(f"`bench run`, {n_records:,} runs, all recorded", words, 3.0 * share)


def commands(folder: Path) -> Iterator[Command]:
    """All rows, with their stores."""
    store = str(fill(folder / "hundred", seeds=range(17)).root)
    yield Command("`bench leaderboard`, 102 records of 20 episodes", ["leaderboard", "--store", store], 0.8)
    yield Command("`bench compare`, the same", ["compare", "closed", "probe", "--store", store], 0.8)
    yield Command("`bench check`, the same", ["check", "--baseline", store, "--store", store], 0.8)
    page = ["leaderboard", "--store", store, "--format", "html", "--out", str(folder / "page.html")]
    yield Command("the page, the same", page, 1.2)
    for number, most in ((100, 1.5), (200, 2.0), (400, 4.0), (800, 12.0)):
        words = ["leaderboard", "--store", str(one_test_set(folder / str(number), number))]
        yield Command(f"`bench leaderboard`, {number} methods on {QUERIES:,} queries, half on each task", words, most)
    yield from on_big_store(folder, MANY_RECORDS)
    typo = ["run", "--task", "digits", "--method", "fast", "--store", store]
    yield Command("a wrong name in `bench run`", typo, 0.5, code=2)
    words = ["run", "quickstart", "--logger", "none", "--store", str(recorded_suite(folder / "suite", "quickstart"))]
    yield Command("`bench run quickstart`, all recorded", words, 3.0)


@dataclass(frozen=True)
class Usage:
    """What a command took.

    Attributes:
        cpu: Seconds of CPU time.
        clock: Seconds on the clock.
        peak_mb: MiB of its largest process.
    """

    cpu: float
    clock: float
    peak_mb: float


def usage(command: Command) -> Usage:
    """What a command takes in a process of its own."""
    answer = subprocess.run(
        [sys.executable, "-c", _WATCH, sys.executable, "-m", "bench", *command.words], capture_output=True, text=True,
        cwd=ROOT, check=True,
        # Sources are compiled by the first call and not by each, as in an installed package.
        env={**os.environ, "WANDB_MODE": "offline", "PYTHONDONTWRITEBYTECODE": ""},
    )  # fmt: skip
    code, *figures = answer.stdout.split()
    assert int(code) == command.code, answer.stderr
    return Usage(*map(float, figures))


def machine() -> str:
    """The machine in words."""
    return f"{cpu_model()}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"


def timed(found: Iterator[Command], rounds: int) -> Iterator[tuple[Command, Usage]]:
    """Time commands, most of them after one call that is not timed; medians of some rounds."""
    for command in found:
        if command.again:
            usage(command)
        made = [usage(command) for _ in range(rounds)]
        names = ("cpu", "clock", "peak_mb")
        yield command, Usage(*(statistics.median(getattr(one, name) for one in made) for name in names))


def main(results: Path, page: Path, *sizes: int) -> None:
    """Time all commands, or those on stores of some sizes, and write the rows to a JSON file and to a page."""
    rows, rounds = list[dict[str, object]](), "One round" if sizes else f"Medians of {ROUNDS} rounds"
    heads = ["command", "CPU s", *["on the clock s", "peak MB"] * bool(sizes), "at most"]
    lines = [f"Machine: {machine()}. {rounds}.", "", f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]

    def note(command: Command, used: Usage) -> None:
        more = [f"{used.clock:.2f}", f"{used.peak_mb:,.0f}"] if sizes else []
        cells = [command.what, f"{used.cpu:.2f}", *more, f"{command.most:g}"]
        lines.append(f"| {' | '.join(cells)} |")
        extra = f"{machine()}; at most {command.most:g} s"
        rows.append({"name": command.what, "unit": "s of CPU time", "value": round(used.cpu, 3), "extra": extra})
        print(lines[-1], file=sys.stderr, flush=True)

    for n_records in sizes or (None,):
        with tempfile.TemporaryDirectory() as folder:
            found = commands(Path(folder)) if n_records is None else on_big_store(Path(folder), n_records)
            for command, used in timed(found, 1 if sizes else ROUNDS):
                note(command, used)
    results.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    replace_section(page, "big store" if sizes else "commands", "\n".join(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
