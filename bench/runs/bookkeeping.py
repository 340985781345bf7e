"""Bookkeeping of answered runs beside the worker: score, record and trackers, while it answers the next run.

A run without costs to measure, such as the second seed of a row, takes about as long to answer as the one before takes
to be scored, flushed to the disk and logged.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, nullcontext
from typing import Self


class Bookkeeping:
    """Pieces of work in a thread, one after the other, where another process answers; elsewhere each at once.

    Nothing may run beside a measurement: ``wait`` comes before it.
    """

    def __init__(self, beside: bool) -> None:
        """Start the thread.

        Args:
            beside: Whether another process measures and answers, so that this one has nothing else to do meanwhile.
        """
        self._thread = ThreadPoolExecutor(1, "bookkeeping") if beside else None
        self._pieces: list[Future[object]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Wait for all pieces, also after an error: what was answered gets its record."""
        with self._thread or nullcontext():
            (self.settle if kind is None else self.wait)()

    def add(self, piece: Callable[[], object], claim: ExitStack | None = None) -> None:
        """Do a piece of work after the earlier ones.

        Args:
            piece: The work.
            claim: What is closed, in the same thread, once the piece is done.
        """

        def done() -> None:
            with claim or nullcontext():
                piece()

        if self._thread is not None:
            self._pieces.append(self._thread.submit(done))
        else:
            done()

    def wait(self) -> None:
        """Wait until nothing is left to do; errors are raised by ``settle``."""
        wait(self._pieces)

    def settle(self) -> None:
        """Wait until nothing is left to do.

        Raises:
            Exception: The first error of a piece.
        """
        self.wait()
        pieces, self._pieces = self._pieces, []
        for piece in pieces:
            piece.result()
