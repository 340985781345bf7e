"""One measurement at a time on a device of a host."""

import multiprocessing
import os
import socket
import time

import pytest

from bench.costs.host_lock import alone, beside_others, lock_file


def _measure(held, order):
    with alone("cpu", "digits faast", print):
        held.set()
        time.sleep(0.5)
        order.put(("first", time.monotonic()))


@pytest.mark.slow
def test_the_second_process_waits_and_says_for_whom(cache, monkeypatch):
    monkeypatch.setattr("bench.toolkit.work_lock.SILENT", 0.1)
    context = multiprocessing.get_context("spawn")
    held, order = context.Event(), context.Queue()
    other = context.Process(target=_measure, args=(held, order))
    other.start()
    assert held.wait(60)
    messages = []
    with alone("another device", "lexicon knn", messages.append):
        assert messages == []
    with alone("cpu", "lexicon knn", messages.append):
        began = time.monotonic()
    assert began > order.get(timeout=60)[1]
    (message,) = messages
    assert message.startswith(f"waiting for digits faast, by process {other.pid} on {socket.gethostname()} since 20")
    other.join()


def test_a_cache_that_cannot_be_written_is_said_and_stops_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "file"))
    messages = []
    with alone("cpu", f"process {os.getpid()}", messages.append):
        pass
    assert len(messages) == 1
    assert str(lock_file("cpu")) in messages[0]


def _compute(began, device, seconds, ready=None, go=None):
    if ready:
        ready.set()
        go.wait()
    with beside_others(device, "answers", print):
        began.set()
        time.sleep(seconds)


@pytest.mark.slow
def test_a_measurement_waits_for_what_others_compute_and_keeps_them_waiting(cache, monkeypatch):
    monkeypatch.setattr("bench.toolkit.work_lock.SILENT", 0.1)
    context = multiprocessing.get_context("spawn")
    began, waiting, ready, go = (context.Event() for _ in range(4))
    late = context.Process(target=_compute, args=(waiting, "cpu", 0.0, ready, go))
    late.start()
    assert ready.wait(60)
    other = context.Process(target=_compute, args=(began, "cpu", 0.8))
    other.start()
    assert began.wait(60)
    messages = []
    # Two that compute do not wait for each other.
    with beside_others("cpu", "answers", messages.append):
        assert messages == []
    with alone("cpu", "lexicon knn", messages.append):
        assert messages[0].startswith(f"waiting for answers, by process {other.pid}")
        go.set()
        assert not waiting.wait(0.3)
    assert waiting.wait(60)
    for process in (other, late):
        process.join()
    assert list(lock_file("cpu").with_suffix(".others").iterdir()) == []
