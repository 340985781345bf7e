"""Four processes that do the same work at a time, of which one is killed and another stopped for a while."""

import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

PROCESSES = 4
LIMIT = 300.0
"""Seconds within which all processes must have ended."""


def disturbed(
    context: Any, work: Callable[..., Any], argument: Any, wait: Callable[[Any], None], moments: random.Random,
    found: Counter[str],
) -> list[Any]:  # fmt: skip
    """Answers of the processes that were not killed.

    Args:
        context: Context of multiprocessing.
        work: Called in each process with ``argument``, a barrier and a queue for its answer.
        argument: What all processes share.
        wait: Waits, given the process that is to be killed, until it is killed.
        moments: Draws how long another process works before it goes on after a stop.
        found: Receives counts: killed, hangs and tracebacks.
    """
    barrier, answers = context.Barrier(PROCESSES + 1), context.Queue()
    processes = [context.Process(target=work, args=(argument, barrier, answers)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    barrier.wait(LIMIT)  # a process that is killed before it comes to the barrier would keep the others there
    killed, stopped, *others = processes
    wait(killed)
    if killed.exitcode is None:
        killed.kill()
        found["killed"] += 1
    with suppress(ProcessLookupError):  # it may have ended already
        os.kill(stopped.pid, signal.SIGSTOP)
        stopped.join(moments.uniform(0, 1))
        os.kill(stopped.pid, signal.SIGCONT)
    for process in (stopped, *others):
        process.join(LIMIT)
        found["hangs"] += process.exitcode is None
        found["tracebacks"] += process.exitcode not in (0, None)
    return [answers.get() for process in (stopped, *others) if process.exitcode == 0]
