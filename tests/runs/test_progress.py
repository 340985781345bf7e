"""Progress: time that is left, lines of a log, bars within long runs."""

import io
import threading
from pathlib import Path

import pytest
from rich.console import Console

from bench.engine.share import ShareMeter, share_file
from bench.results.store import Store
from bench.runs import progress
from bench.runs.progress import RichReporter
from bench.runs.shared_costs import RUN_SECONDS, SharedCosts
from bench.runs.time_left import TimeLeft, duration
from tests.helpers.records import SPEC, record

SEEDS = [SPEC.model_copy(update={"seed": seed}) for seed in range(4)]


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def by_seed(*seconds: float | None) -> dict[int, float | None]:
    return dict(enumerate(seconds))


@pytest.mark.parametrize(
    ("expected", "before", "after"),
    [
        # Recorded durations first, then in proportion to how long the first run took: twice as long as expected.
        (by_seed(10, 20, 30, 40), "about 2 min left", "about 3 min left"),
        (by_seed(10, None, None, None), "about 40 s left", "about 60 s left"),
        (by_seed(None, None, None, None), "", "about 60 s left"),
    ],
)
def test_the_time_that_is_left(expected: dict[int, float | None], before: str, after: str) -> None:
    clock = Clock()
    left = TimeLeft(SEEDS, lambda spec: expected[spec.seed], clock)
    assert left.text() == ""
    left.begin()
    assert left.text() == before
    clock.now = 20.0
    left.ended(SEEDS[0])
    assert left.text() == after


def test_runs_that_were_recorded_earlier_leave_less_to_do() -> None:
    clock = Clock()
    left = TimeLeft(SEEDS, lambda spec: 10.0, clock)
    left.passed_over(SEEDS[3])
    left.begin()
    assert left.seconds() == 30
    clock.now = 12.0
    left.ended(SEEDS[0])
    assert left.seconds() == 24
    for spec in SEEDS[1:3]:
        left.ended(spec)
    assert left.seconds() == 0
    assert left.text() == ""


def test_durations_in_words() -> None:
    assert [duration(seconds) for seconds in (4.6, 99, 100, 3600, 7500)] == [
        "5 s",
        "99 s",
        "2 min",
        "60 min",
        "2 h 5 min",
    ]


def test_a_log_says_what_is_prepared_what_ended_and_how_long_it_takes() -> None:
    text = io.StringIO()
    with RichReporter(Console(file=text, width=200)) as reporter:
        reporter.preparing("digits: reading data")
        reporter.preparing("digits: reading data")
        reporter.plan(2, TimeLeft(SEEDS[:2], lambda spec: 90.0))
        reporter.encoding("digits support", 1200)(1200)
        reporter.running(SPEC)
        reporter.known(record())
        reporter.done(record())
    assert text.getvalue().splitlines() == [
        "preparing: digits: reading data",
        "preparing: digits support: encoding 1,200 items",
        "1 run is recorded already",
        "[2/2] t m [alpha=0.1] shots=5 seed=0: accuracy 66.7 % [66.5, 66.9], adapt 0.333 s; about 90 s left",
    ]


class Shares:
    """Shares of a run, the last of which lets it end."""

    def __init__(self) -> None:
        self.left = [None, 0.25, 0.5]
        self.read = threading.Event()

    def __call__(self) -> float | None:
        if len(self.left) == 1:
            self.read.set()
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


@pytest.mark.parametrize("terminal", [False, True])
def test_a_long_run_says_how_far_it_is(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "POLL", 0.01)
    monkeypatch.setattr(progress, "LOG_EVERY", 0.0)
    text, shares = io.StringIO(), Shares()
    console = Console(file=text, width=120, force_terminal=terminal, legacy_windows=False)
    with RichReporter(console) as reporter, reporter.within("digits knn: answering", shares):
        assert shares.read.wait(30)
        if terminal:
            reporter.progress.refresh()
    said = text.getvalue()
    assert ("digits knn: answering, %" if terminal else "digits knn: answering, 25%, for 0 s") in said
    assert ("/100" in said) == terminal
    assert [task.description for task in reporter.progress.tasks] == ["preparing"]


def test_a_worker_writes_the_share_of_its_groups_and_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.engine.share.EVERY", 0.0)
    with share_file() as file:
        assert file is not None
        assert file.read() is None
        meter = ShareMeter(file, 4)
        meter.group(1)
        assert file.read() == 0.25
        meter.within(0.5)
        assert file.read() == 0.375
    assert file.read() is None
    assert ShareMeter(None, 1).callbacks() == ()


def test_a_run_without_a_record_like_it_is_of_unknown_length(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(record(provenance={RUN_SECONDS: 7.5}))
    costs = SharedCosts(store)
    assert costs.expected_of(SPEC.model_copy(update={"seed": 9})) == 7.5
    assert costs.expected_of(SPEC.model_copy(update={"method": "n"})) is None


@pytest.mark.parametrize("days", [(1, 2), (2, 1)])
def test_the_latest_of_several_records_says_how_long_a_run_takes(days: tuple[int, int], tmp_path: Path) -> None:
    store = Store(tmp_path)
    for torch, day in enumerate(days):
        provenance = {RUN_SECONDS: 10.0 * day, "finished": f"2026-01-0{day}T00:00:00+00:00"}
        store.write(record(identity={"libraries": {"torch": str(torch)}}, provenance=provenance))
    assert SharedCosts(store).expected_of(SPEC) == 20
