"""Spawned processes that end with this one, and their first moment. Imports nothing that takes time."""

import multiprocessing
import os
import pickle
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from bench.engine.parent_death import end_forks_with_parent, end_with


def start_tied(parent: int, call: bytes, *first: Any) -> None:
    """Call a function in a process that ends with its parent from its first moment on, and so do its forks.

    Args:
        parent: Process id of the parent.
        call: What ``packed`` returns; reading it imports the libraries.
        *first: First arguments of the function, which only multiprocessing can pass on, such as connections.
    """
    end_with(parent)
    end_forks_with_parent()
    function, arguments = pickle.loads(call)
    function(*first, *arguments)


def packed(function: Callable[..., None], *arguments: Any) -> bytes:
    """A call for ``start_tied``.

    Args:
        function: The function, by its name in its module.
        *arguments: Its last arguments, picklable.

    Returns:
        Both in pickled form.
    """
    return pickle.dumps((function, arguments))


def tied_process(call: bytes, *first: Any) -> Any:
    """Start a process that makes a call; see ``start_tied``.

    Args:
        call: What ``packed`` returns.
        *first: First arguments of the function.

    Returns:
        The process.
    """
    context = multiprocessing.get_context("spawn")
    # Not a daemon, which could start no process of its own; it ends with this process all the same.
    process = context.Process(target=start_tied, args=(os.getpid(), call, *first), daemon=False)
    process.start()
    return process


def connected_process(call: bytes) -> tuple[Any, Connection]:
    """Start a process that makes a call with a connection as the first argument; see ``start_tied``.

    Args:
        call: What ``packed`` returns.

    Returns:
        The process, and this end of the connection.
    """
    connection, other = multiprocessing.get_context("spawn").Pipe()
    process = tied_process(call, other)
    other.close()
    return process, connection
