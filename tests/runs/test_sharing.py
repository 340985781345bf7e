"""Several processes and one store: nothing is lost, nothing is run twice, and the dead hold no locks."""

import multiprocessing
import os
import signal
import threading
import time

import pytest

from bench.contracts import StoreError
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.results.prune import unnamed
from bench.results.store import Store
from bench.results.store_files import LOCKS
from bench.results.verify import problems
from bench.runs.runner import Runner, same_process
from tests.helpers.records import record
from tests.helpers.runs import Notebook, grid

ID = record().id


def _run(root, barrier, answers):
    quiet_lightning()
    reporter = Notebook()
    runner = Runner(Store(root), DeviceOptions(accelerator="cpu", batch_size=16), reporter, isolate=same_process)
    specs = grid(methods=["faast", "knn", "softmax_memory"], shots=[1, 5], seeds=[0, 1], episodes=2)
    matched = grid(methods=["nearest_prototype"], shots=[1], seeds=[0], episodes=2, match="faast:state_mb")
    barrier.wait(120)
    report = runner.run(specs + matched)
    answers.put((os.getpid(), reporter.ran, reporter.problems, {one.id for one in report.records}))


@pytest.mark.slow
def test_two_processes_share_the_work_and_both_have_all_of_it(outside, cache, tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_run, args=(tmp_path / "store", barrier, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    answered = [answers.get(timeout=300) for _ in processes]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    ran = [run for _, mine, _, _ in answered for run in mine]
    assert len(ran) == len(set(ran)) == 3 * 2 * 2 + 1
    assert [trouble for _, _, trouble, _ in answered] == [[], []]
    store = Store(tmp_path / "store")
    assert answered[0][3] == answered[1][3] == {one.id for one in store}
    assert {one.status for one in store} == {"ok"}
    assert list(problems(store)) == []
    assert unnamed(store, store) == []


def test_a_run_that_is_under_way_is_not_claimed_twice(tmp_path):
    store, other = Store(tmp_path), Store(tmp_path)
    with store.claim(ID) as mine:
        assert mine
        with other.claim(ID, wait=False) as too:
            assert not too
        with other.claim("another", wait=False) as another:
            assert another
    with other.claim(ID, wait=False) as now:
        assert now


@pytest.mark.slow
def test_a_claim_waits_for_the_one_before(tmp_path):
    order = []

    def second():
        with Store(tmp_path).claim(ID):
            order.append("second")

    thread = threading.Thread(target=second)
    with Store(tmp_path).claim(ID):
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]


def test_what_a_run_raises_frees_its_claim(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(KeyboardInterrupt), store.claim(ID):
        raise KeyboardInterrupt
    with store.claim(ID, wait=False) as mine:
        assert mine


def _hold(root, held):
    with Store(root).claim(ID):
        held.set()
        time.sleep(600)


def test_a_process_that_was_killed_holds_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    process = context.Process(target=_hold, args=(tmp_path, held))
    process.start()
    assert held.wait(120)
    with Store(tmp_path).claim(ID, wait=False) as mine:
        assert not mine
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)
    with Store(tmp_path).claim(ID, wait=False) as mine:
        assert mine


def many():
    return grid(methods=["faast", "knn", "linear_probe"], shots=[1, 5], seeds=[0, 1], episodes=2)


def _work(root, runs):
    quiet_lightning()
    reporter = Notebook()
    reporter.running = lambda spec: runs.put(str(spec))
    Runner(Store(root), DeviceOptions(accelerator="cpu", batch_size=16), reporter, isolate=same_process).run(many())


@pytest.mark.slow
@pytest.mark.parametrize("after", [2, 7])
def test_a_program_that_is_killed_leaves_a_store_that_verifies_and_goes_on(outside, cache, tmp_path, after):
    store = Store(tmp_path / "store")
    context = multiprocessing.get_context("spawn")
    runs = context.Queue()
    process = context.Process(target=_work, args=(store.root, runs), daemon=True)
    process.start()
    try:
        for _ in range(after):
            runs.get(timeout=120)
        time.sleep(0.03 * after)  # somewhere in the midst of a run, or of its record
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.join(30)
    assert list(problems(store)) == []
    kept = len(list(store))
    assert after - 1 <= kept <= len(many())
    reporter = Notebook()
    Runner(store, DeviceOptions(accelerator="cpu", batch_size=16), reporter, isolate=same_process).run(many())
    assert len(reporter.ran) == len(many()) - kept
    assert list(problems(store)) == []


def test_a_store_without_room_for_locks_is_one_line(tmp_path):
    (tmp_path / LOCKS).write_text("in the way")
    with pytest.raises(StoreError, match=r"no run can be claimed in .* use --store DIR"), Store(tmp_path).claim(ID):
        pass
