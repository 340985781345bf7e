"""Workers: fresh processes for measurements, so that earlier work affects neither clocks nor memory.

On Linux one server process per backbone loads libraries and weights once and is then forked for each measurement, at a
cost of a few milliseconds. The server itself runs no model, keeps to one thread and uses no accelerator, because
neither threads nor CUDA survive a fork. On other systems each measurement spawns a new process.
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
from bench.contracts.errors import ChildError, one_line_error
from bench.engine.trainer import quiet_lightning

FORKS = sys.platform == "linux"
"""Whether measurements run in forks of the server process."""
OUT_OF_MEMORY_HINT = "probably out of memory; use a smaller batch size or model, or a machine with more memory"


class OutOfMemoryError(BenchError):
    """Memory ran out, or a process was ended from outside, as the system does when memory runs out."""


class Worker(Protocol):
    """Runner of functions that take a backbone as their first argument.

    Attributes:
        process: Whether each call has a fresh process or all share one, as recorded with the costs.
    """

    process: Literal["fresh", "same"]

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function with the worker's backbone.

        Args:
            function: Function whose first parameter is the backbone.
            *arguments: Its other arguments.

        Returns:
            The function's result. Its errors are raised here.
        """

    def close(self) -> None:
        """Release the backbone."""


@dataclass
class InlineWorker:
    """Worker in the present process.

    Attributes:
        backbone: The frozen backbone.
        process: "same".
    """

    backbone: Backbone
    process: Literal["fresh", "same"] = "same"

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function with the backbone; see Worker.call."""
        return function(self.backbone, *arguments)

    def close(self) -> None:
        """Nothing to release."""


@dataclass(frozen=True)
class _Failure:
    """Error of a call, as sent to the caller."""

    error: BaseException


def _failure(error: BaseException) -> bytes:
    """An error in pickled form: itself where the caller can act on it, a ChildError where it is a defect."""
    sent = error
    if not isinstance(error, BenchError | MemoryError | torch.OutOfMemoryError):
        sent = ChildError(one_line_error(error), "".join(traceback.format_exception(error)))
    try:
        # Not every error can be unpickled; its text always can.
        pickle.loads(pickle.dumps(sent))
    except Exception:
        sent = ChildError(one_line_error(error), "".join(traceback.format_exception(error)))
    return pickle.dumps(_Failure(sent))


def _answer(function: Callable[..., Any], backbone: Any, arguments: tuple[Any, ...]) -> bytes:
    """The pickled result of a call, or its pickled failure."""
    try:
        return pickle.dumps(function(backbone, *arguments))
    except BaseException as error:
        return _failure(error)


def _forked(function: Callable[..., Any], backbone: Any, arguments: tuple[Any, ...], threads: int) -> bytes:
    """``_answer`` in a forked child process."""
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
            # _exit skips the exit handlers, which belong to the parent.
            os._exit(0)
    os.close(writing)

    # A child must not outlive this process.
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
    return pickle.dumps(_Failure(OutOfMemoryError(f"the worker process ended with {ending}: {OUT_OF_MEMORY_HINT}")))


def _serve(connection: Connection, make: Callable[[], Backbone | None], threads: int) -> None:
    """The server process: load the backbone, then answer calls until the connection closes."""
    # The parent handles interrupts and closes the connection.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Plugins are unpickled by the names of their modules.
    own_packages.put_first()
    quiet_lightning()
    # A forked child can start threads only if its parent never did.
    torch.set_num_threads(1 if FORKS else threads)
    backbone, broken = None, b""
    try:
        backbone = make()
    except BaseException as error:
        broken = _failure(error)
    # The meters collect garbage before each stage: half a second with all loaded objects, some ms without. Freezing
    # also keeps a collection from writing to, and so copying, memory that forked children share.
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
    """Worker with a fresh process for each call.

    Attributes:
        process: "fresh".
    """

    process: Literal["fresh", "same"] = "fresh"

    def __init__(self, make: Callable[[], Backbone | None]) -> None:
        """Prepare a worker; its process starts with ``start`` or the first call.

        Args:
            make: Picklable function that makes the backbone.
        """
        self.make = make
        self._server: Any = None
        self._connection: Connection | None = None

    def start(self) -> Self:
        """Start loading the backbone; the first call waits until it is loaded."""
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._server = context.Process(target=_serve, args=(other, self.make, torch.get_num_threads()), daemon=True)
        self._server.start()
        other.close()
        return self

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function with the backbone in a fresh process.

        Args:
            function: Picklable function whose first parameter is the backbone.
            *arguments: Its other arguments, picklable too.

        Returns:
            The function's result. Its errors are raised here, defects as ChildError.

        Raises:
            OutOfMemoryError: If the process is ended from outside.
        """
        if self._connection is None:
            self.start()
        assert self._connection is not None
        try:
            self._connection.send((function, arguments))
            answer = pickle.loads(self._connection.recv_bytes())
        except (EOFError, ConnectionError):
            self.close()
            raise OutOfMemoryError(f"the worker process ended: {OUT_OF_MEMORY_HINT}") from None
        except BaseException:
            # Interrupted while waiting: close the worker, so that its late reply is not read by the next call.
            self.close()
            raise
        if not FORKS:
            self.close()
        if isinstance(answer, _Failure):
            raise answer.error
        return answer

    def close(self) -> None:
        """End the server process and any measurement under way."""
        if self._connection is not None:
            self._connection.close()
            self._server.terminate()
            self._server.join()
            self._connection = self._server = None
