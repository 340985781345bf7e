"""Workers of pytest-xdist as forks of the process that has imported the libraries, in place of ones that import them.

xdist starts ``python -u -c LINE`` and speaks with it by standard input and output. In its place
``python -c COMMAND -u -c LINE`` has a fork do so, and lasts as long.
"""

import atexit
import multiprocessing
import os
import shlex
import signal
import sys
from multiprocessing.connection import Connection

from tests.helpers.places import ROOT
from tests.helpers.preloaded import SHARED, context

COMMAND = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.helpers.forked_worker import main; main()"


def have_forked(specs):
    """Let xdist start the workers of these specifications as forks, where one preloaded process is shared."""
    if SHARED in os.environ:
        for spec in specs:
            spec.python = shlex.join([sys.executable, "-c", COMMAND])


def main():
    """Have a fork do the last word of the command line, with this process's standard input and output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the fork answers it
    ends = Connection(os.dup(0), writable=False), Connection(os.dup(1), readable=False)
    process = context().Process(target=_serve, args=(sys.argv[-1], dict(os.environ), ends))
    process.start()
    process.join()
    sys.exit(process.exitcode)


def _serve(line, environment, ends):
    for number, end in enumerate(ends):
        os.dup2(end.fileno(), number)
        end.close()
    os.environ.clear()
    os.environ.update(environment)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    multiprocessing.set_start_method(None, force=True)  # the default of an interpreter, not how this one was started
    # Assertions of the contract suites are rewritten by the pytest that imports them.
    for name in [name for name in sys.modules if name.startswith("bench.testing")]:
        del sys.modules[name]
    try:
        exec(line, {"__name__": "__main__"})
    finally:
        atexit._run_exitfuncs()
