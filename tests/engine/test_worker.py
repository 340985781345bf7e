"""Processes of their own: what comes back, and what is left when one ends."""

import multiprocessing
import os
import signal
import time
import traceback
from functools import partial

import psutil
import pytest
import torch

from bench import registry
from bench.contracts import DataError
from bench.contracts.errors import ChildError
from bench.engine import early_server, process_ending
from bench.engine.first_pass import first_pass
from bench.engine.parent_death import FORKS
from bench.engine.process_ending import OutOfMemoryError, WorkerEndedError, ending_error, ran_out_of_memory
from bench.engine.worker import ForkedWorker
from bench.engine.worker_server import serve
from bench.meters.contention import usable_cores
from bench.runs.signals import Interrupted, interrupts
from tests.helpers import preloaded
from tests.helpers.places import ROOT

pytestmark = pytest.mark.slow
HELD = []


def who(backbone, number):
    """Who answers, with what; and a mark that a fresh process must not find."""
    HELD.append(number)
    kinds = backbone and backbone.kinds
    return os.getpid(), number, HELD[:-1], float((torch.ones(400, 400) @ torch.ones(400, 400)).sum()), kinds


def nothing():
    return None


def noted(file, fails):
    """No backbone, with a line for each time; the first time fails if that is wanted."""
    with file.open("a") as lines:
        lines.write("made\n")
    if fails and file.read_text() == "made\n":
        raise OSError("once")


def fail(backbone, error):
    raise error


def end_by(backbone, number):
    os.kill(os.getpid(), number)


def allocate(backbone):
    return torch.empty(2**55, dtype=torch.uint8)


def load(backbone, workers):
    loader = torch.utils.data.DataLoader([1, 2, 3, 4], num_workers=workers)
    return sum(int(batch.sum()) for batch in loader)


def sleep(backbone, seconds):
    time.sleep(seconds)


def size(backbone, content, number):
    return len(content), number


def end_late(backbone, sign):
    """Answers at once; its process ends when there is a file, or after ten seconds."""
    end = os._exit

    def late(status):
        for _ in range(1000):
            if sign.exists():
                break
            time.sleep(0.01)
        end(status)

    os._exit = late
    return os.getpid()


def sleep_in_forks(backbone, seconds):
    """A measurement whose method forks, and its fork too."""
    for _ in range(2):
        if os.fork():
            break
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


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGKILL"])
def test_a_process_ended_by_a_signal_is_no_lack_of_memory(fresh, name):
    with pytest.raises(WorkerEndedError, match=f"ended by {name}"):
        fresh.call(end_by, getattr(signal, name))
    assert fresh.call(who, 4)[1] == 4


def test_torch_says_that_memory_ran_out(fresh):
    with pytest.raises(OutOfMemoryError, match="can't allocate memory"):
        fresh.call(allocate)
    assert not ran_out_of_memory(RuntimeError("some defect"))


def test_the_kernel_says_that_memory_ran_out(tmp_path, monkeypatch):
    counter = tmp_path / "memory.events"
    monkeypatch.setattr(process_ending, "COUNTERS", (counter,))
    counter.write_text("oom 7\noom_kill 2\n")
    before = process_ending.kernel_kills()
    assert isinstance(ending_error(-signal.SIGKILL, before), WorkerEndedError)
    counter.write_text("oom 8\noom_kill 3\n")
    assert isinstance(ending_error(-signal.SIGKILL, before), OutOfMemoryError)
    assert isinstance(ending_error(-signal.SIGSEGV, before), WorkerEndedError)


def test_features_need_no_shared_memory(fresh, monkeypatch):
    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(torch.UntypedStorage, "_share_fd_cpu_", full)
    monkeypatch.setattr(torch.UntypedStorage, "_share_filename_cpu_", full)
    assert fresh.call(who, torch.ones(3))[1].tolist() == [1, 1, 1]


def test_what_a_call_shares_with_the_one_before_is_sent_once(fresh, monkeypatch):
    sent, send = [], fresh._connection.send_bytes
    monkeypatch.setattr(fresh._connection, "send_bytes", lambda content: (sent.append(len(content)), send(content)))
    content = bytes(10**6)
    for number in (1, 2):
        assert fresh.call(size, content, number) == (10**6, number)
    assert fresh.call(size, bytes(10**6), 3) == (10**6, 3)  # an equal one is another one
    with pytest.raises(DataError):
        fresh.call(fail, DataError("planted"))
    assert fresh.call(size, content, 4) == (10**6, 4)
    assert [length > 10**6 for length in sent] == [True, False, True, False, True]


@pytest.mark.skipif(len(usable_cores()) < 2, reason="the process that ends needs a core of its own")
def test_a_brief_call_is_answered_before_its_process_has_ended_and_the_next_one_after(fresh, tmp_path):
    pid = fresh.call(end_late, tmp_path / "end")
    assert runs(pid)
    (tmp_path / "end").touch()
    assert fresh.call(who, 5)[1] == 5
    assert not runs(pid)


def test_the_first_pass_of_a_server_leaves_no_trace():
    handler, state = signal.getsignal(signal.SIGTERM), torch.get_rng_state()
    first_pass()
    assert signal.getsignal(signal.SIGTERM) == handler
    assert torch.equal(torch.get_rng_state(), state)


def test_a_call_can_have_data_workers(fresh):
    assert fresh.call(load, 2) == 10


ABANDONING = """
import os, signal, sys, threading, time


def end():
    server, started = psutil.Process(worker._server.pid), []
    while len(started) < 3:
        started = server.children(recursive=True)
        time.sleep(0.05)
    print(*(child.pid for child in started), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    import psutil
    from bench.engine.worker import ForkedWorker
    from tests.engine.test_worker import nothing, sleep_in_forks, who

    worker = ForkedWorker(nothing).start()
    print(worker._server.pid, flush=True)
    if sys.argv[1] == "killed at once":
        os.kill(os.getpid(), signal.SIGKILL)
    worker.call(who, 1)
    time.sleep(0.2)  # the process of this call has ended
    if sys.argv[1] == "killed":
        threading.Thread(target=end).start()
        worker.call(sleep_in_forks, 60)
"""


@pytest.mark.parametrize(
    ("how", "status", "processes"),
    [("killed", -signal.SIGKILL, 4), ("killed at once", -signal.SIGKILL, 1), ("exits", 0, 1)],
)
def test_a_server_its_child_and_their_forks_end_with_the_caller(tmp_path, how, status, processes):
    (tmp_path / "abandoning.py").write_text(ABANDONING)
    # A server that is to end while it imports the libraries has to import them.
    environment, at_once = os.environ | {"PYTHONPATH": str(ROOT)}, how == "killed at once"
    ran = preloaded.run("abandoning", how, cwd=tmp_path, env=environment, spawn=at_once)
    assert ran.returncode == status, ran.stderr
    started = [int(pid) for pid in ran.stdout.split()]
    assert len(started) == processes
    # The libraries that a server imports first take longer than this.
    deadline = time.monotonic() + 2
    while any(map(runs, started)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(runs, started))


def runs(pid):
    """Whether a process runs; one that has ended may wait a while for the system to note it."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.skipif(not FORKS, reason="forks")
def test_a_server_ends_in_silence_where_its_caller_left_an_answer_unread(capfd):
    own, servers = multiprocessing.Pipe()
    servers.send_bytes(b"an answer")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            own.close()
            serve(servers, nothing, 1)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    servers.close()
    own.close()
    assert (os.waitpid(child, 0)[1], capfd.readouterr().err) == (0, "")


@pytest.mark.skipif(not FORKS, reason="forks")
def test_the_first_worker_takes_the_process_that_has_imported_the_libraries():
    with early_server.early_server(True):
        ((process, _),) = early_server._waiting
        first, second = ForkedWorker(nothing).start(), ForkedWorker(nothing).start()
        assert first._server is process
        assert second._server is not process
        for worker in (first, second):
            child, number, *_ = worker.call(who, 1)
            assert number == 1
            assert child not in (process.pid, os.getpid())
            worker.close()


@pytest.mark.skipif(not FORKS, reason="forks")
@pytest.mark.parametrize(("fails", "times"), [(False, 1), (True, 2)])
def test_that_process_loads_the_backbone_ahead_and_again_where_that_failed(fails, times, tmp_path):
    file = tmp_path / "made"
    with early_server.early_server(True):
        worker = ForkedWorker(partial(noted, file, fails))
        worker.load_ahead()
        deadline = time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert file.exists()
        assert worker.start().call(who, 1)[1] == 1
        worker.close()
    assert file.read_text() == times * "made\n"
    ForkedWorker(partial(noted, file, fails)).load_ahead()  # where no process waits, nothing happens


@pytest.mark.skipif(not FORKS, reason="forks")
def test_a_process_that_no_worker_takes_ends_and_one_that_ended_is_not_taken():
    with early_server.early_server(True):
        ((unused, _),) = early_server._waiting
    assert not unused.is_alive()
    with early_server.early_server(True):
        ((killed, _),) = early_server._waiting
        killed.kill()
        killed.join()
        worker = ForkedWorker(nothing).start()
        assert worker._server is not killed
        assert worker.call(who, 1)[1] == 1
        worker.close()
    with early_server.early_server(False):
        assert early_server._waiting == []


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
