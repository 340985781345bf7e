"""Garbage collection, which goes through all objects of the process again and again while many are made."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SKIPPED_AT_FIRST = gc.get_freeze_count()
"""Number of objects that collections pass over from the start of some versions of Python; more are frozen by us."""


@contextmanager
def without_collection() -> Iterator[None]:
    """Make many objects without cycles, such as records, without collections in between; also a decorator.

    What was made meanwhile counts as old afterwards, so that no collection goes through it soon, which takes half a
    second after libraries or a large store.

    Yields:
        Nothing.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled and gc.get_freeze_count() <= SKIPPED_AT_FIRST:
            gc.freeze()
            gc.unfreeze()  # into the oldest generation
        if enabled:
            gc.enable()
