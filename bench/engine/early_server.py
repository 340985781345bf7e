"""Server processes of workers, and one that imports the libraries while the program itself does, for the first worker.

Importing them takes seconds of one core; a second core has nothing else to do meanwhile, and later encodes. Imports
nothing that takes time.
"""

import pickle
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from bench.engine.parent_death import FORKS
from bench.engine.server_start import connected_process, packed
from bench.toolkit.collection import without_collection

_waiting: list[tuple[Any, Connection]] = []
"""The process that waits, with its connection; empty where there is none."""


@contextmanager
def early_server(wanted: bool) -> Iterator[None]:
    """Context with a process for the first worker that is started in it.

    Args:
        wanted: Whether a worker is expected.
    """
    if wanted and FORKS:
        _waiting.append(connected_process(packed(_await_call)))
    try:
        yield
    finally:
        while _waiting:  # no worker took it
            process, connection = _waiting.pop()
            connection.close()
            process.terminate()
            process.join()


def call_early(call: bytes) -> None:
    """Let the process that waits make a call before the one for which it is taken; without such a process do nothing.

    Args:
        call: What ``packed`` returns.
    """
    for process, connection in _waiting:
        if process.is_alive():
            connection.send_bytes(call)


def server_process(call: bytes) -> tuple[Any, Connection]:
    """A process that makes a call with a connection as its first argument.

    Args:
        call: What ``packed`` returns.

    Returns:
        The process that waits, or a new one, and this end of the connection.
    """
    while _waiting:
        process, connection = _waiting.pop()
        if process.is_alive():
            break
        connection.close()
    else:
        process, connection = connected_process(packed(_await_call))
    connection.send_bytes(call)
    return process, connection


def _await_call(connection: Connection) -> None:
    """Import the libraries, then make the calls that are sent, until the program ends or closes the connection."""
    # The parent handles interrupts and ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with without_collection():
        import bench.engine.worker_server  # noqa: F401

    while True:
        try:
            function, arguments = pickle.loads(connection.recv_bytes())
        except (EOFError, ConnectionError):
            return
        function(connection, *arguments)
