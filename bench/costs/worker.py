"""A process of its own for what is to be measured, so that nothing that ran before is in its clocks and memory.

On Linux one process per backbone loads libraries and weights once and is then forked for each measurement: a fresh
process at the price of a few milliseconds. It runs nothing itself, on one thread and without touching an accelerator,
because neither threads nor CUDA survive a fork. Elsewhere each measurement starts a process from nothing.
"""

import gc
import multiprocessing
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal, Protocol, Self

import torch

from bench import own_packages
from bench.contracts import Backbone, BenchError
from bench.contracts.errors import one_line_defect
from bench.engine.trainer import quiet_lightning

FORKS = sys.platform == "linux"


class OutOfMemoryError(BenchError):
    """Memory ran out, or the system ended a process as it does when memory runs out."""


class ChildError(RuntimeError):
    """A defect in a process of its own: in one line, and its traceback there."""

    def __init__(self, line: str, traceback: str) -> None:
        super().__init__(line, traceback)
        self.traceback = traceback

    def __str__(self) -> str:
        return str(self.args[0])


class Worker(Protocol):
    """Calls functions of a backbone somewhere."""

    process: Literal["fresh", "same"]

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """``function(backbone, *arguments)``; raises what it raises."""

    def close(self) -> None:
        """Let go of the backbone."""


@dataclass
class InlineWorker:
    """Calls right here."""

    backbone: Backbone
    process: Literal["fresh", "same"] = "same"

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """``function(backbone, *arguments)``."""
        return function(self.backbone, *arguments)

    def close(self) -> None:
        """There is nothing to let go of."""


@dataclass(frozen=True)
class _Failure:
    """Why a call gave nothing: the error where it can be sent, otherwise its traceback."""

    error: BaseException


def _failure(error: BaseException) -> bytes:
    """An error as it travels: itself where the caller can act on it, its traceback where it is a defect."""
    told = error
    if not isinstance(error, BenchError | MemoryError | torch.OutOfMemoryError):
        told = ChildError(one_line_defect(error), "".join(traceback.format_exception(error)))
    try:
        # What does not come back as it went is sent as words.
        pickle.loads(pickle.dumps(told))
    except Exception:
        told = ChildError(one_line_defect(error), "".join(traceback.format_exception(error)))
    return pickle.dumps(_Failure(told))


def _answer(function: Callable[..., Any], backbone: Any, arguments: tuple[Any, ...]) -> bytes:
    """The pickled answer of a call, or the pickled failure."""
    try:
        return pickle.dumps(function(backbone, *arguments))
    except BaseException as error:
        return _failure(error)


def _forked(function: Callable[..., Any], backbone: Any, arguments: tuple[Any, ...], threads: int) -> bytes:
    """``_answer`` of a forked child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        torch.set_num_threads(threads)
        try:
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(_answer(function, backbone, arguments))
        finally:
            # Without the parent's clean-up, which belongs to the parent.
            os._exit(0)
    os.close(writing)

    # Whoever ends this process wants no child left behind.
    def end(*_: object) -> None:
        os.kill(child, signal.SIGKILL)
        os._exit(1)

    signal.signal(signal.SIGTERM, end)
    with os.fdopen(reading, "rb") as answers:
        content = answers.read()
    _, status = os.waitpid(child, 0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if content:
        return content
    ending = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"status {os.WEXITSTATUS(status)}"
    return pickle.dumps(
        _Failure(OutOfMemoryError(f"the process that measured it ended by {ending}, as when memory runs out"))
    )


def _serve(connection: Connection, make: Callable[[], Backbone | None], threads: int) -> None:
    """Answer calls until the other side hangs up. Interrupts are for the parent to act on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Plugins arrive by the names of their modules.
    own_packages.put_first()
    quiet_lightning()
    # A forked child can use threads only if its parent never started any.
    torch.set_num_threads(1 if FORKS else threads)
    backbone, broken = None, b""
    try:
        backbone = make()
    except BaseException as error:
        broken = _failure(error)
    # The meters collect garbage before each stage: half a second with all that is loaded, some ms without. (It also
    # keeps a collection from touching, and so copying, memory that forked children share.)
    gc.collect()
    gc.freeze()
    while True:
        try:
            function, arguments = connection.recv()
        except EOFError:
            return
        if broken:
            connection.send_bytes(broken)
        elif FORKS:
            connection.send_bytes(_forked(function, backbone, arguments, threads))
        else:
            connection.send_bytes(_answer(function, backbone, arguments))
            return


class ForkedWorker:
    """Calls in a fresh process each, which has the backbone that ``make`` gives; ``make`` must be picklable."""

    process: Literal["fresh", "same"] = "fresh"

    def __init__(self, make: Callable[[], Backbone | None]) -> None:
        self.make = make
        self._server: Any = None
        self._connection: Connection | None = None

    def start(self) -> Self:
        """Start loading; the first call waits for its end."""
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._server = context.Process(target=_serve, args=(other, self.make, torch.get_num_threads()), daemon=True)
        self._server.start()
        other.close()
        return self

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """``function(backbone, *arguments)`` in a fresh process; function and arguments must be picklable.

        Raises what it raises; OutOfMemoryError if the process is ended from outside.
        """
        if self._connection is None:
            self.start()
        assert self._connection is not None
        try:
            self._connection.send((function, arguments))
            answer = pickle.loads(self._connection.recv_bytes())
        except (EOFError, ConnectionError):
            self.close()
            raise OutOfMemoryError("the process that measures ended, as when memory runs out") from None
        except BaseException:
            # An interrupt in the midst of it: the answer to come is nobody's.
            self.close()
            raise
        if not FORKS:
            self.close()
        if isinstance(answer, _Failure):
            raise answer.error
        return answer

    def close(self) -> None:
        """End the process, and what it is measuring."""
        if self._connection is not None:
            self._connection.close()
            self._server.terminate()
            self._server.join()
            self._connection = self._server = None
