"""The server side of a worker: a process that loads the backbone once and answers each call in a forked child.

The server itself runs no model. It keeps to one thread and uses no accelerator, because neither threads nor CUDA
survive a fork; a pass of transformers starts CUDA's driver even on the CPU. Requests and answers are plain pickled
bytes, so that no tensor needs shared memory.
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
from typing import Any

import torch

from bench import own_packages
from bench.contracts import Backbone, BenchError
from bench.contracts.errors import ChildError, one_line_error
from bench.engine.frozen import remember
from bench.engine.parent_death import FORKS
from bench.engine.process_ending import OutOfMemoryError, ending_error, kernel_kills, ran_out_of_memory
from bench.engine.trainer import DeviceOptions, quiet_lightning


@dataclass(frozen=True)
class Failure:
    """Error of a call, as sent to the caller."""

    error: BaseException


def serve(connection: Connection, make: Callable[[], Backbone | None], threads: int) -> None:
    """Load the backbone, then answer calls until the connection closes.

    Args:
        connection: Receives pickled functions with their arguments, and sends pickled results.
        make: Makes the backbone.
        threads: Number of torch's threads in the children.
    """
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
        if FORKS:
            remember(backbone)
            DeviceOptions(accelerator="cpu").trainer()  # what the first trainer of a process makes, forks need not
    except BaseException as error:
        broken = failure_bytes(error)
    # The meters collect garbage before each stage: half a second with all loaded objects, some ms without. Freezing
    # also keeps a collection from writing to, and so copying, memory that forked children share.
    gc.collect()
    gc.freeze()
    while True:
        # The caller may have ended at any moment, also with an answer unread.
        try:
            request = connection.recv_bytes()
        except (EOFError, ConnectionError):
            return
        answer = broken or _served(request, backbone, threads)
        try:
            connection.send_bytes(answer)
        except ConnectionError:
            return
        if not (broken or FORKS):
            return


def _served(request: bytes, backbone: Any, threads: int) -> bytes:
    try:
        # Unpickling imports plugins; here it does so once for all calls.
        known = len(sys.modules)
        function, arguments = pickle.loads(request)
        if len(sys.modules) > known:
            # Collections pass over modules, and over nothing that came with the request: a search finds that.
            del function, arguments
            gc.collect()
            gc.freeze()
            function, arguments = pickle.loads(request)
    except BaseException as error:
        return failure_bytes(error)
    del request
    if FORKS:
        return _forked(function, backbone, arguments, threads)
    return _answer(function, backbone, arguments)


def _forked(function: Callable[..., Any], backbone: Any, arguments: tuple[Any, ...], threads: int) -> bytes:
    """``_answer`` in a forked child process."""
    kills = kernel_kills()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            torch.set_num_threads(threads)
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(_answer(function, backbone, arguments))
            status = 0
        finally:
            for worker in multiprocessing.active_children():
                worker.terminate()
            # _exit skips the exit handlers, which belong to the parent.
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as answers:
        content = answers.read()
    exitcode = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    # A child that was ended may have written a part of its answer.
    return content if content and exitcode == 0 else pickle.dumps(Failure(ending_error(exitcode, kills)))


def _answer(function: Callable[..., Any], backbone: Any, arguments: tuple[Any, ...]) -> bytes:
    """The pickled result of a call, or its pickled failure."""
    try:
        return pickle.dumps(function(backbone, *arguments))
    except BaseException as error:
        return failure_bytes(error)


def failure_bytes(error: BaseException) -> bytes:
    """An error in pickled form: itself where the caller can act on it, a ChildError where it is a defect.

    Args:
        error: The error.

    Returns:
        A pickled Failure.
    """
    sent = error
    if ran_out_of_memory(error) and not isinstance(error, MemoryError | torch.OutOfMemoryError | BenchError):
        sent = OutOfMemoryError(one_line_error(error))
    elif not isinstance(error, BenchError | MemoryError | torch.OutOfMemoryError):
        sent = ChildError(one_line_error(error), "".join(traceback.format_exception(error)))
    try:
        # Not every error can be unpickled; its text always can.
        pickle.loads(pickle.dumps(sent))
    except Exception:
        sent = ChildError(one_line_error(error), "".join(traceback.format_exception(error)))
    return pickle.dumps(Failure(sent))
