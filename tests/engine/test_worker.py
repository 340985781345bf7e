"""Processes of their own: what comes back, and what is left when one ends."""

import os
import signal
import time
from functools import partial

import psutil
import pytest
import torch

from bench import registry
from bench.contracts import DataError
from bench.contracts.errors import ChildError
from bench.engine.worker import ForkedWorker, OutOfMemoryError
from bench.runs.signals import Interrupted, interrupts

HELD = []


def who(backbone, number):
    """Who answers, with what; and a mark that a fresh process must not find."""
    HELD.append(number)
    return os.getpid(), number, HELD[:-1], float((torch.ones(400, 400) @ torch.ones(400, 400)).sum()), backbone.kinds


def fail(backbone, error):
    raise error


def die(backbone):
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(backbone, seconds):
    time.sleep(seconds)


@pytest.fixture(scope="module")
def fresh():
    process = ForkedWorker(partial(registry.make_backbone, "efficientnet_lite0")).start()
    yield process
    process.close()


def test_each_call_has_a_process_of_its_own(fresh):
    first, second = fresh.call(who, 1), fresh.call(who, 2)
    assert len({os.getpid(), first[0], second[0]}) == 3
    assert second[1:4] == (2, [], 400.0**3)
    assert second[4] == registry.backbone_class("efficientnet_lite0").kinds


def test_errors_come_back_as_they_are(fresh):
    with pytest.raises(DataError, match="no such image"):
        fresh.call(fail, DataError("no such image"))
    with pytest.raises(MemoryError):
        fresh.call(fail, MemoryError())
    with pytest.raises(ChildError, match=r"^ValueError: planted \(test_worker.py:\d+, in fail\)$") as caught:
        fresh.call(fail, ValueError("planted"))
    assert caught.value.traceback.startswith("Traceback")
    assert caught.value.traceback.rstrip().endswith("ValueError: planted")
    assert fresh.call(who, 3)[1] == 3


def test_a_process_that_is_killed_ran_out_of_memory(fresh):
    with pytest.raises(OutOfMemoryError, match="signal 9"):
        fresh.call(die)
    assert fresh.call(who, 4)[1] == 4


def test_an_interrupt_leaves_no_process_behind():
    process = ForkedWorker(partial(registry.make_backbone, "efficientnet_lite0")).start()
    process.call(who, 1)
    server = psutil.Process(process._server.pid)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    with pytest.raises(Interrupted, match="SIGTERM"), interrupts():
        process.call(sleep, 60)
    gone, alive = psutil.wait_procs([server, *server.children()] if server.is_running() else [server], timeout=5)
    assert not alive
    assert gone


def test_a_backbone_that_cannot_be_made_says_why():
    process = ForkedWorker(partial(registry.make_backbone, "hf:/no/such/model"))
    with pytest.raises(Exception, match="no/such/model"):
        process.call(who, 1)
    process.close()
