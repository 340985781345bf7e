"""The first moment of a spawned process. Imports nothing that takes time."""

import pickle
from collections.abc import Callable
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
