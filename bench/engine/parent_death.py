"""The end of a child process with its parent, also where the parent is killed. Imports nothing that takes time."""

import ctypes
import os
import signal
import sys
import threading

FORKS = sys.platform == "linux"
"""Whether the kernel ends children with their parent, and calls of a worker run in forks of its server process."""
PR_SET_PDEATHSIG = 1
"""Number of the option of Linux's ``prctl`` that names the signal for the end of the parent."""


def end_with(parent: int) -> None:
    """Let the kernel kill this process when its parent ends; other systems than Linux close the connection alone.

    The kernel counts the thread that started the process as its parent: it has to be one that lasts.

    Args:
        parent: Process id of the parent.
    """
    if not FORKS:
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the request reached the kernel
        os._exit(1)


def end_forks_with_parent() -> None:
    """Let all processes that are forked by this one's main thread from now on, and by those, end with their parents.

    The request to the kernel is not inherited, so that each new process makes it anew.
    """
    parents: list[int] = []

    def before() -> None:
        main = threading.current_thread() is threading.main_thread()
        parents[:] = [os.getpid()] if main else []

    def after() -> None:
        for parent in parents:
            end_with(parent)

    if FORKS:
        os.register_at_fork(before=before, after_in_child=after)


class EndsWith:
    """``end_with`` as the ``worker_init_fn`` of a data loader.

    Attributes:
        parent: Process id of the process that made the loader.
    """

    def __init__(self) -> None:
        self.parent = os.getpid()

    def __call__(self, worker: int) -> None:
        """Tie a data worker to its parent.

        Args:
            worker: Number of the worker.
        """
        end_with(self.parent)
