"""A suite that is killed by SIGKILL at random moments and started again until it is complete."""

import io
import math
import os
import random
import re
import shutil
import signal
import statistics
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path

import psutil
from rich.console import Console

from bench.results.prune import unnamed
from bench.results.store import Store
from bench.results.verify import problems
from bench.runs.progress import RichReporter
from bench.toolkit.temporary import TEMPORARY
from tests.faults.commands import Fresh, start
from tests.helpers.preloaded import Program

METHODS = ("faast", "linear_probe")
"""A store has the runs of one of these, in closed form or in steps."""
FEW_STEPS = ("--set", "linear_probe.steps=5")
RUNS = 2
"""Runs of a method."""
WORDS = (
    "run", "--task", "stripes", "--backbone", "pixels", "--shots", "1", "--seeds", "0-1", "--episodes", "2",
    "--accelerator", "cpu", "--logger", "csv",
)  # fmt: skip
"""The command, without its methods and its store."""
LIMIT = 900.0
"""Seconds within which a command must end by itself, on a machine that does other things too."""
GONE = 60.0
"""Seconds within which all processes of a killed program must have ended."""
START = 0.3
"""Share of a whole run's time that a start takes which finds all runs recorded."""
UNINTERRUPTED = 10
"""Most kills of one store; then it is completed."""
RECENT = 9
"""Undisturbed runs whose median is the time that moments are drawn from; it changes with what else the machine does."""
TABLE = "score: "
"""Beginning of the first line below the table."""
DONE = re.compile(r"\[\d+/\d+\] (.+?)(?:; about .+ left)?")
"""A line that acknowledges a record; on a slow machine it ends with the time that is left."""
EXPECTED = re.compile(
    r"\d+ runs? (is|are) recorded already|logged to .*|preparing: .+|"
    r"bench: \d+ of \d+ episodes were answered before an interrupt, .*"
)
"""Lines that may stand before the table."""


class Durations:
    """Seconds that a start of the command takes, by the share of its runs that are still to be done."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, float]] = deque(maxlen=RECENT)

    def add(self, seconds: float, left: float) -> None:
        """Add a start that nothing interrupted."""
        self._recent.append((seconds, left))

    def expected(self, left: float) -> float:
        """Expected seconds."""
        return statistics.median(seconds / _share(share) for seconds, share in self._recent) * _share(left)


def _share(left: float) -> float:
    """Share of a whole run's time that a start takes, by the share of runs that are still to be done."""
    return START + (1 - START) * left


def kill_often(
    site: Path, folder: Path, kills: int, fresh: int = 0, seed: int = 0, seconds: float = math.inf
) -> Counter[str]:
    """Kill a suite at random moments, and check after each kill what was acknowledged.

    The moments are spread evenly over the expected time of what the killed command has still to do.

    Args:
        site: Folder with the outside package.
        folder: An empty folder.
        kills: Number of kills.
        fresh: Number of kills, among these, of commands in a fresh interpreter, the first one of a store each.
        seed: Seed of the moments.
        seconds: Begin no further store after this time.

    Returns:
        Counts: kills, by moment, and completed suites, and of what must not be, by name.
    """
    ends, draw, found = time.monotonic() + seconds, random.Random(seed), Counter[str]()
    durations, reference = {True: Durations(), False: Durations()}, dict[tuple[str, str], float | None]()
    start(["--help"], site, folder / "cache", folder / "output").exit_code(LIMIT)  # until the server has imported all

    def run_whole(methods: Sequence[str]) -> None:
        for method in set(methods) - {method for method, _ in reference}:
            whole = _Suite(site, folder / method, (method,), found)
            durations[False].add(whole.complete(), 1.0)
            values = whole.values()
            assert len(values) == RUNS
            assert not found["ended otherwise"]
            reference.update(values)

    if fresh:
        run_whole(METHODS)
        slow = _Suite(site, folder / "fresh", METHODS, found)
        durations[True].add(slow.complete(fresh=True), 1.0)
        assert slow.values() == reference
    moments = {False: _spread(kills - fresh, draw), True: _spread(fresh, draw)}
    number = 0
    while any(moments.values()) and time.monotonic() < ends:
        number += 1
        methods = METHODS[number % 2 : number % 2 + 1]
        run_whole(methods)
        suite = _Suite(site, folder / str(number), methods, found)
        for _ in range(draw.randint(1, UNINTERRUPTED)):
            # A fresh interpreter is the first of a store, so that its whole run is under way.
            turn = number % 3 == 1 or not moments[False]
            first = bool(moments[True]) and suite.left() == 1 and turn
            if not moments[first]:
                break
            if not suite.kill_after(moments[first][-1] * durations[first].expected(suite.left()), first):
                break
            moments[first].pop()
        left = suite.left()
        durations[False].add(suite.complete(), left)
        suite.compare(reference)
        shutil.rmtree(suite.place)
        print(dict(found), flush=True)
    return found


def _spread(number: int, draw: random.Random) -> list[float]:
    """Numbers between 0 and 1, one in each of as many equal parts, in random order."""
    spread = [(part + draw.random()) / number for part in range(number)]
    draw.shuffle(spread)
    return spread


class _Suite:
    """The suite on one store."""

    def __init__(self, site: Path, place: Path, methods: Sequence[str], found: Counter[str]) -> None:
        self.site, self.place, self.methods, self.found = site, place, methods, found
        self.store, self.cache, self.output = Store(place / "store"), place / "cache", place / "output"
        settings = FEW_STEPS if "linear_probe" in methods else ()
        self.words = [*WORDS, "--method", ",".join(methods), *settings, "--store", self.store.root]
        self.acknowledged: set[str] = set()
        place.mkdir()

    def values(self) -> dict[tuple[str, str], float | None]:
        """Scores of the records, by method and id."""
        records = self.store if self.store.paths() else ()
        return {(record.spec.method, record.id): record.value for record in records}

    def left(self) -> float:
        """The share of runs without a record."""
        done = len(self.store.paths()) if self.store.root.exists() else 0
        return 1 - done / RUNS / len(self.methods)

    def start(self, fresh: bool) -> Program | Fresh:
        """Start the command."""
        self.output.write_bytes(b"")
        return start(self.words, self.site, self.cache, self.output, fresh)

    def complete(self, fresh: bool = False) -> float:
        """Let the command come to its end; returns its seconds."""
        began = time.monotonic()
        command = self.start(fresh)
        code = command.exit_code(LIMIT)
        seconds = time.monotonic() - began
        self.found["hangs"] += code is None
        if code is None:
            _kill(command, self.found)
        self.found["ended otherwise"] += code not in (0, None)
        self.found["suites"] += 1
        self._check()
        return seconds

    def kill_after(self, seconds: float, fresh: bool) -> bool:
        """Kill the command after some seconds, unless it ends before."""
        command = self.start(fresh)
        code = command.exit_code(seconds)
        if code is not None:
            self.found["ended otherwise"] += code != 0
            self._check()
            return False
        _kill(command, self.found)
        self.found["kills"] += 1
        self.found["kills of fresh interpreters"] += fresh
        moment = {1.0: "before the first result", 0.0: "after the last result"}.get(self.left(), "between results")
        self.found[f"kills {moment}"] += 1
        self.found["kills within a write"] += bool(self._temporary())
        self._check()
        return True

    def compare(self, reference: dict[tuple[str, str], float | None]) -> None:
        """Compare what a completed suite left with an undisturbed one."""
        values, expected = self.values(), {key: score for key, score in reference.items() if key[0] in self.methods}
        self.found["wrong"] += any(score != expected.get(key) for key, score in values.items())
        self.found["lost"] += len(expected.keys() - values.keys())
        self.found["leftovers"] += len(unnamed(self.store, self.store)) + len(self._temporary())

    def _temporary(self) -> list[Path]:
        return [path for path in self.place.rglob("*") if TEMPORARY.fullmatch(path.name)]

    def _check(self) -> None:
        """Compare the store with what was acknowledged, as a user saw it."""
        lines = self.output.read_text(encoding="utf-8", errors="replace").split("\n")
        whole = takewhile(lambda line: not line.startswith(TABLE), lines[:-1])
        before_table = [line for line in whole if line and line[0] not in "┏┃┡│└├"]
        done = [match[1] for line in before_table if (match := DONE.fullmatch(line))]
        self.acknowledged.update(done)
        missing = self.acknowledged - set(_shown(self.store))
        self.found["lost"] += len(missing)
        others = [line for line in before_table if not DONE.fullmatch(line) and not EXPECTED.fullmatch(line)]
        self.found["tracebacks"] += sum(line.startswith("Traceback") for line in others)
        self.found["other lines"] += len(others)
        self.found["unfinished runs taken up"] += sum("are taken up" in line for line in before_table)
        if missing or others:
            print(self.place, missing, *others, sep="\n", flush=True)
        if self.store.root.exists() and self.store.paths():
            self.found["not verified"] += len(list(problems(self.store)))


def _shown(store: Store) -> Iterable[str]:
    """Lines that acknowledge the records of a store, without their numbers."""
    for record in store if store.root.exists() and store.paths() else ():
        console = Console(file=io.StringIO(), width=240)
        RichReporter(console).done(record)
        yield console.file.getvalue().split("] ", 1)[1].rstrip("\n")  # type: ignore[attr-defined]


def _kill(command: Program | Fresh, found: Counter[str]) -> None:
    """Kill the program alone, and see its measuring processes end with it."""
    try:
        children = psutil.Process(command.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        children = []
    os.kill(command.pid, signal.SIGKILL)
    command.exit_code(LIMIT)
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
