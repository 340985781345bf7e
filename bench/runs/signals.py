"""Signals that end a command as an exception, so that what was under way can still be recorded."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """A signal that asks the process to end. No Exception, so that nothing takes it for a failure to go on after.

    Nor a KeyboardInterrupt: Lightning would turn that into an exit of its own.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def interrupts() -> Iterator[None]:
    """While this lasts, Ctrl-C and SIGTERM raise Interrupted in the main thread."""

    def interrupt(number: int, _: Any) -> None:
        raise Interrupted(number)

    before = {number: signal.signal(number, interrupt) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
