"""Locks of work: one process at a time; the others say for whom they wait, and do not wait for one that is stopped."""

import multiprocessing
import os
import signal
import socket
import time

import pytest

from bench.toolkit import work_lock as module
from bench.toolkit.work_lock import Holder, work_lock


def _hold(path, ready, seconds):
    with work_lock(path, "digits faast"):
        ready.set()
        time.sleep(seconds)


@pytest.fixture
def held(tmp_path, monkeypatch):
    """Starts a process that has a lock for some seconds."""
    monkeypatch.setattr(module, "SILENT", 0.1)
    monkeypatch.setattr(module, "POLL", 0.05)
    # Units that another test ran in this process have made it one of their call's.
    monkeypatch.setattr(module, "_call", "")
    started = []

    def start(seconds):
        context = multiprocessing.get_context("fork")
        ready = context.Event()
        process = context.Process(target=_hold, args=(tmp_path / "run.lock", ready, seconds))
        process.start()
        started.append(process)
        assert ready.wait(30)
        return process

    yield start
    for process in started:
        process.kill()
        process.join(30)


@pytest.mark.slow
def test_a_process_that_waits_says_once_for_whom(tmp_path, held):
    other, messages = held(0.6), []
    with work_lock(tmp_path / "run.lock", "digits knn", messages.append, wait=False) as claimed:
        assert not claimed
    with work_lock(tmp_path / "run.lock", "digits knn", messages.append) as claimed:
        assert claimed
        assert Holder.read(tmp_path / "run.json").what == "digits knn"
    (message,) = messages
    assert message.startswith(f"waiting for digits faast, by process {other.pid} on {socket.gethostname()} since 20")


@pytest.mark.slow
def test_workers_of_one_call_wait_for_each_other_in_silence(tmp_path, held, monkeypatch):
    monkeypatch.setattr(module, "_call", "one call")
    held(0.4)
    messages = []
    with work_lock(tmp_path / "run.lock", "digits knn", messages.append) as claimed:
        assert claimed
    assert messages == []
    held(0.4)
    monkeypatch.setattr(module, "_call", "another call")
    with work_lock(tmp_path / "run.lock", "digits knn", messages.append):
        assert len(messages) == 1


def test_a_process_that_waits_goes_on_when_the_other_is_killed(tmp_path, held):
    other = held(60)
    os.kill(other.pid, signal.SIGKILL)
    with work_lock(tmp_path / "run.lock", "digits knn") as claimed:
        assert claimed


@pytest.mark.slow
def test_a_process_that_is_stopped_for_a_minute_keeps_nobody_waiting(tmp_path, held, monkeypatch):
    monkeypatch.setattr(module, "STALLED", 0.5)
    other, messages = held(60), []
    os.kill(other.pid, signal.SIGSTOP)
    began = time.monotonic()
    with work_lock(tmp_path / "run.lock", "digits knn", messages.append) as claimed:
        assert claimed
        assert time.monotonic() - began > 0.5
        # A third process waits for the one that went on, not for the stopped one.
        with work_lock(tmp_path / "run.lock", "digits ridge", wait=False) as third:
            assert not third
    assert messages[1:] == [f"process {other.pid} is stopped or gone, and others go on without it"]
    os.kill(other.pid, signal.SIGCONT)


def test_a_process_on_another_host_is_taken_to_work(tmp_path):
    own = Holder.own("a run")
    assert own.works()
    elsewhere = Holder("a run", 2**22 + 1, "another host", own.space, own.since)
    assert elsewhere.works()
    assert not Holder("a run", 2**22 + 1, own.host, own.space, own.since).works()
