"""Signals as exceptions, so that an interrupted run is still recorded."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM)
"""Signals that end a command."""


class Interrupted(BaseException):
    """Raised in the main thread by a signal that ends the process.

    It is no Exception, so that no handler of failed runs catches it, and no KeyboardInterrupt, which Lightning would
    turn into an exit of the process.

    Attributes:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def interrupts() -> Iterator[None]:
    """Context in which SIGINT (Ctrl-C) and SIGTERM raise Interrupted; nothing changes outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, _: Any) -> None:
        raise Interrupted(number)

    before = {number: signal.signal(number, interrupt) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
