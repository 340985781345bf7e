"""Garbage collection, which goes through all objects of the process again and again while many are made."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """Make many objects without cycles, such as records, without collections in between; also a decorator.

    What was made meanwhile is gone through at the first collection afterwards, in a large store for half a second.

    Yields:
        Nothing.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
