"""The first moment of a worker's server process. Imports nothing that takes time."""

import pickle
from multiprocessing.connection import Connection

from bench.engine.parent_death import end_forks_with_parent, end_with


def start_server(connection: Connection, parent: int, arguments: bytes) -> None:
    """Start of a worker's server process: from its first moment on it ends with its parent.

    Args:
        connection: First argument of ``serve``.
        parent: Process id of the parent.
        arguments: Its other arguments, pickled, because reading them imports the libraries.
    """
    end_with(parent)
    end_forks_with_parent()
    from bench.engine.worker_server import serve

    serve(connection, *pickle.loads(arguments))
