"""A run is scored, kept and tracked while the worker answers the next one, and never beside a measurement."""

import signal
import threading
import time
from contextlib import ExitStack
from dataclasses import replace

import pytest

from bench.engine.answer import answer_episodes
from bench.engine.worker import InlineWorker
from bench.results.store import Store
from bench.runs import single_run
from bench.runs.bookkeeping import Bookkeeping
from bench.runs.signals import Interrupted
from tests.helpers.runs import grid, runner_in

pytestmark = pytest.mark.usefixtures("outside", "cache", "brief_costs")
SLOW = 0.2
"""Seconds that keeping a record takes, of which a measurement that did not wait would meet some."""


class Tracker:
    """A slow tracker that notes what it gets, in order."""

    def __init__(self):
        self.seen, self.busy = [], threading.Event()

    def begin(self, id_, spec):
        self.seen.append(("begin", spec.method, spec.seed))

    def __call__(self, record):
        self.busy.set()
        time.sleep(SLOW)
        self.seen.append((record.status, record.spec.method, record.spec.seed))
        self.busy.clear()


def runs(folder, tracker, answering=lambda spec: None, **options):
    """Two seeds of two methods by a worker that counts as another process; ``answering`` is called at each answer."""

    class Beside(InlineWorker):
        def call(self, function, *arguments):
            if function is answer_episodes:
                answering(arguments[0].run.spec)
            else:
                assert not tracker.busy.is_set()  # costs are measured alone
            return super().call(function, *arguments)

    runner = replace(
        runner_in(folder), trackers=(tracker,), isolate=lambda name, backbone: Beside(backbone, "fresh"), **options
    )
    return runner.run(grid(methods=["faast", "knn"], shots=[1], seeds=[0, 1], episodes=2))


def statuses(records):
    return {(record.spec.method, record.spec.seed): record.status for record in records}


@pytest.mark.slow
def test_a_run_is_kept_while_the_next_is_answered_and_not_while_costs_are_measured(tmp_path):
    tracker = Tracker()

    def answering(spec):
        deadline = time.monotonic() + 30
        while spec.seed == 1 and ("ok", spec.method, 0) not in tracker.seen:
            assert time.monotonic() < deadline  # the record before is made although this answer is not there yet
            time.sleep(0.01)

    report = runs(tmp_path, tracker, answering)
    assert set(statuses(report.records).values()) == {"ok"}, [record.reason for record in report.records]
    assert tracker.seen == [
        (what, method, seed) for method in ("faast", "knn") for seed in (0, 1) for what in ("begin", "ok")
    ]
    assert statuses(Store(tmp_path / "store")) == statuses(report.records)


@pytest.mark.slow
def test_an_interrupt_keeps_the_run_before_and_marks_its_own(tmp_path):
    def answering(spec):
        if spec.seed == 1:
            raise Interrupted(signal.SIGINT)

    with pytest.raises(Interrupted):
        runs(tmp_path, Tracker(), answering)
    kept = list(Store(tmp_path / "store"))
    assert statuses(kept) == {("faast", 0): "ok", ("faast", 1): "failed"}
    (failed,) = [record for record in kept if record.status == "failed"]
    assert failed.reason.startswith("interrupted while it was scored, after ")
    assert not list((tmp_path / "store").rglob("*.answers"))


@pytest.mark.slow
def test_what_fails_in_scoring_is_the_record_of_its_own_run(tmp_path, monkeypatch):
    score = single_run.score_run

    def faulty(metric, results, groups):
        if groups[0].run.spec.seed == 0:
            raise RuntimeError("planted")
        return score(metric, results, groups)

    monkeypatch.setattr(single_run, "score_run", faulty)
    report = runs(tmp_path, Tracker())
    assert statuses(report.records) == {
        (method, seed): "ok" if seed else "failed" for method in ("faast", "knn") for seed in (0, 1)
    }


@pytest.mark.parametrize("beside", [False, True])
def test_pieces_are_done_in_order_and_the_first_error_is_raised(beside):
    done, claim = [], ExitStack()
    claim.callback(done.append, "claim")

    def fails():
        raise ValueError("planted")

    def work():
        with Bookkeeping(beside) as later:
            later.add(lambda: done.append(1))
            later.add(lambda: done.append(2), claim)
            later.settle()
            assert done == [1, 2, "claim"]
            later.add(fails)
            later.settle()
            done.append("never")

    with pytest.raises(ValueError, match="planted"):
        work()
    assert done == [1, 2, "claim"]
