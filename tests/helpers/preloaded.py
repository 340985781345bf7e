"""Processes that find the libraries imported: forks of one that has imported them, which takes five seconds each time.

They are like spawned ones otherwise: no state of the test's process is in them. Tests of how a process starts use real
ones, by ``subprocess``.
"""

import atexit
import multiprocessing
import multiprocessing.forkserver
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.helpers import brief_costs
from tests.helpers.places import ROOT

OURS = {"bench", "methods", "tasks", "sweeps", "tests"}
"""Top-level packages of the checkout."""
GET_CONTEXT = multiprocessing.get_context
RUN = subprocess.run
SHARED = "TESTS_PRELOADED"
"""Variable of the environment with the address of a preloaded process that another one has started; see ``share``."""


def context():
    """The context of multiprocessing whose processes are forked; the first call starts the process that is forked."""
    forkserver = GET_CONTEXT("forkserver")
    if SHARED in os.environ and multiprocessing.forkserver._forkserver._forkserver_pid is None:
        _adopt(os.environ[SHARED])
        return forkserver
    forkserver.set_forkserver_preload(["tests.helpers.libraries"])
    before = Path.cwd()
    os.chdir(ROOT)  # where it finds its modules
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        os.chdir(before)
    return forkserver


def share():
    """Let the processes that this one starts fork one preloaded process, which imports the libraries meanwhile.

    It lasts as long as this process. From Python 3.14 on it asks for a key, and each process starts one of its own.
    """
    server = multiprocessing.forkserver._forkserver
    if not hasattr(server, "_forkserver_authkey"):
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # they run side by side, on a core each
        context()
        os.environ[SHARED] = server._forkserver_address


def _adopt(address):
    """Fork the preloaded process at an address, which another process has started."""
    server = multiprocessing.forkserver._forkserver
    if server._forkserver_alive_fd is None:
        # A fork is given one end of the pipe that keeps the preloaded process alive. Here the other process does that.
        server._forkserver_alive_fd = os.open(os.devnull, os.O_RDONLY)
    server._forkserver_address = address
    server.ensure_running = multiprocessing.forkserver.ensure_running = lambda: None


class _Spawned:
    """What stands for the context ``spawn`` of multiprocessing: its processes are forks of the preloaded one.

    Attributes:
        context: The context that forks.
    """

    def __init__(self, context):
        self.context = context

    def Process(self, target, args=(), daemon=None):  # noqa: N802
        return self.context.Process(target=_as_spawned, args=(dict(os.environ), target, args), daemon=daemon)

    def __getattr__(self, name):
        return getattr(self.context, name)


def spawning_by(forking):
    """``multiprocessing.get_context`` where ``forking`` answers the context that stands for that of ``spawn``."""
    return lambda method=None: _Spawned(forking()) if method == "spawn" else GET_CONTEXT(method)


def _as_spawned(environment, target, args):
    from bench.engine.server_start import start_tied

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environment)
    brief_costs.set_in_this_process()
    if os.environ.get("OMP_NUM_THREADS") == "1":
        fork_from_here()
    if target is start_tied:
        args = (os.getppid(), *args[1:])  # it ends with the process that it is a fork of
    target(*args)


def fork_from_here():
    """Let what this process spawns be forks of itself, and so its children.

    It has one thread: a fork would wait for ever for threads of OpenMP, which it does not have.
    """
    import torch  # a process that hands tests to others starts without it

    torch.set_num_threads(1)
    multiprocessing.get_context = spawning_by(lambda: GET_CONTEXT("fork"))


class Program:
    """``python -m MODULE WORDS`` as a fork.

    Attributes:
        pid: Its process id.
    """

    def __init__(self, module, *words, cwd=None, env=None, setup=None, own=True, spawn=False, output=None):
        """Start the program.

        Args:
            module: Name of the module.
            *words: Its arguments.
            cwd: Its folder.
            env: Its environment.
            setup: A picklable function that is called before the module runs.
            own: Whether this checkout's packages may be imported already; another checkout has its own.
            spawn: Whether what the program starts are new interpreters instead of forks.
            output: File that standard output and standard error are added to; by default each has one of its own.
        """
        self.folder = tempfile.TemporaryDirectory()
        self.files = [output or Path(self.folder.name) / name for name in ("stdout", "stderr")]
        self.process = context().Process(
            target=_program,
            args=(module, [str(word) for word in words], str(cwd or Path.cwd()), dict(env or os.environ), self.files,
                  setup, own, spawn),
        )  # fmt: skip
        self.process.start()
        self.pid = self.process.pid

    def poll(self):
        """The exit code, or None while it runs."""
        return self.process.exitcode

    def exit_code(self, seconds):
        """The exit code, negative for a signal; None where the program still runs after some seconds."""
        self.process.join(seconds)
        return self.poll()

    def send_signal(self, number):
        os.kill(self.pid, number)

    def end(self):
        """Kill it where it has not ended, and wait until it has."""
        if self.poll() is None:
            self.process.kill()
        self.process.join()

    def wait(self, timeout=500.0):
        """Its exit code and outputs, when it has ended."""
        deadline = time.monotonic() + timeout
        if self.exit_code(timeout) is None:
            self.end()
            raise TimeoutError(f"after {time.monotonic() - deadline + timeout:.0f} s: {self.files[1].read_text()}")
        texts = [file.read_text(encoding="utf-8") for file in self.files]
        return subprocess.CompletedProcess([], self.poll(), *texts)


def run(module, *words, **options):
    """Exit code and outputs of ``python -m MODULE WORDS``; see Program."""
    return Program(module, *words, **options).wait()


def run_python(command, **options):
    """``subprocess.run``, by Program where it would start Python anew with the outputs of this process."""
    if command[:2] != [sys.executable, "-m"] or options != {"check": False}:
        return RUN(command, **options)
    ended = run(*command[2:])
    sys.stdout.write(ended.stdout)
    sys.stderr.write(ended.stderr)
    return ended


def _program(module, words, cwd, environment, files, setup, own, spawn):
    from tests.helpers.libraries import PATH

    for number, file in zip((1, 2), files, strict=True):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    more = environment.get("PYTHONPATH", "")
    sys.path[:] = [cwd, *filter(None, more.split(os.pathsep)), *PATH]
    if not spawn:
        fork_from_here()
        subprocess.run = _run
    if own:
        brief_costs.set_in_this_process()
    else:
        for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
            del sys.modules[name]
    if setup is not None:
        setup()
    _module(module, words)


def _module(module, words):
    sys.argv[:] = [module, *words]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()


def _run(command, **options):
    """``subprocess.run``, by a fork where it would start Python anew with the outputs of this process."""
    if command[:2] != [sys.executable, "-m"] or options != {"check": False}:
        return RUN(command, **options)
    process = GET_CONTEXT("fork").Process(target=_module, args=(command[2], command[3:]))
    process.start()
    process.join()
    return subprocess.CompletedProcess(command, process.exitcode)
