"""Garbage collection, which goes through all objects of the process again and again while many are made."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_SKIPPED_AT_FIRST = gc.get_freeze_count()
"""Number of objects that collections skip from the start of the interpreter on."""


def objects_are_frozen() -> bool:
    """Whether this process has set objects aside from collections.

    Returns:
        Whether collections skip more than from the start on.
    """
    return gc.get_freeze_count() > _SKIPPED_AT_FIRST


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
        if enabled and not objects_are_frozen():
            gc.freeze()
            gc.unfreeze()  # into the oldest generation
        if enabled:
            gc.enable()
