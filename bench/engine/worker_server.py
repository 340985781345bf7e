"""The server side of a worker: a process that loads the backbone once and answers each call in a forked child.

The server itself runs no model. It keeps to one thread and uses no accelerator, because neither threads nor CUDA
survive a fork; a pass of transformers starts CUDA's driver even on the CPU. Requests and answers are plain pickled
bytes, so that no tensor needs shared memory.
"""

import gc
import multiprocessing
import os
import pickle
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import torch

from bench import own_packages
from bench.contracts import Backbone
from bench.engine.failure import failure_bytes
from bench.engine.first_pass import first_pass
from bench.engine.frozen import remember
from bench.engine.parent_death import FORKS
from bench.engine.placement import place_on_gpus
from bench.engine.process_ending import ending_error, kernel_kills
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.meters.contention import usable_cores
from bench.meters.memory import release_freed_memory
from bench.spec.strategies import RANKED
from bench.toolkit.collection import without_collection

BRIEF_CALL = 1.0
"""Seconds of a call up to which the server does not wait until its process has given back all memory: of short work it
is little, and giving it back takes as long as starting a process."""
WHOLE = b"\nwhole"
"""What follows an answer that was written to its end."""


_ahead: dict[bytes, Backbone | None] = {}
"""The backbone that ``load_ahead`` has loaded, by its arguments, until it is served."""


def load_ahead(
    connection: Connection, make: Callable[[], Backbone | None], threads: int, devices: DeviceOptions | None = None
) -> None:
    """Load the backbone of a later ``serve`` with the same arguments, while the program loads its own.

    What fails here the program meets too, and ``serve`` tries again.

    Args:
        connection: Stays unused.
        make: As for ``serve``.
        threads: As for ``serve``.
        devices: As for ``serve``.
    """
    _ahead.clear()
    backbone, broken = _loaded(make, threads, devices)
    if not broken:
        _ahead[pickle.dumps((make, threads, devices))] = backbone


def serve(
    connection: Connection, make: Callable[[], Backbone | None], threads: int, devices: DeviceOptions | None = None
) -> None:
    """Load the backbone, then answer calls until the connection closes.

    Args:
        connection: Receives pickled functions with their arguments, and sends pickled results.
        make: Makes the backbone.
        threads: Number of torch's threads in the children.
        devices: Devices that hold the backbone together, by their strategy; None for a backbone on one device.
    """
    key, broken = pickle.dumps((make, threads, devices)), b""
    if key in _ahead:
        backbone = _ahead.pop(key)
    else:
        _ahead.clear()
        backbone, broken = _loaded(make, threads, devices)
    sent: list[Any] = []
    ending: list[int] = []
    while True:
        # The caller may have ended at any moment, also with an answer unread.
        try:
            request = connection.recv_bytes()
        except (EOFError, ConnectionError):
            return
        answer = broken or _received(request, sent)
        del request
        answer = answer or _served(sent, backbone, threads, devices, ending)
        try:
            connection.send_bytes(answer)
        except ConnectionError:
            return
        if not (broken or FORKS):
            return


def _loaded(
    make: Callable[[], Backbone | None], threads: int, devices: DeviceOptions | None
) -> tuple[Backbone | None, bytes]:
    """The backbone, with this process ready to be forked; and the pickled failure, empty without one."""
    # Plugins are unpickled by the names of their modules.
    own_packages.put_first()
    quiet_lightning()
    # A forked child can start threads only if its parent never did.
    torch.set_num_threads(1 if FORKS else threads)
    backbone, broken = None, b""
    try:
        with without_collection():
            backbone = make()
        if FORKS:
            remember(backbone)
            if devices is not None and devices.strategy in RANKED:
                from bench.engine.ranks import prepare

                prepare(devices)
            first_pass()
    except BaseException as error:
        broken = failure_bytes(error)
    # The meters collect garbage before each stage: half a second with all loaded objects, some ms without. Freezing
    # also keeps a collection from writing to, and so copying, memory that forked children share.
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    release_freed_memory()  # once, and not in each fork
    return backbone, broken


def _received(request: bytes, sent: list[Any]) -> bytes:
    """Read the function and the arguments of a call.

    Args:
        request: One byte with the number of first parts that are those of the call before, and the others in pickled
            form.
        sent: Parts of the call before; in the end those of this call.

    Returns:
        The pickled failure; empty if all could be read.
    """
    try:
        # Unpickling imports plugins; here it does so once for all calls.
        kept, known = request[0], len(sys.modules)
        del sent[kept:]
        sent += pickle.loads(memoryview(request)[1:])
        if len(sys.modules) > known and not kept:
            # Collections pass over modules, and over nothing that came with the request: a search finds that.
            sent.clear()
            gc.collect()
            gc.freeze()
            sent += pickle.loads(memoryview(request)[1:])
    except BaseException as error:
        return failure_bytes(error)
    return b""


def _served(sent: list[Any], backbone: Any, threads: int, devices: DeviceOptions | None, ending: list[int]) -> bytes:
    """The pickled answer to a call of a function with its arguments; ``ending`` as for ``_forked``."""
    function, *arguments = sent
    if devices is not None and devices.strategy in RANKED:
        from bench.engine.ranks import answer_of_ranks

        return answer_of_ranks(partial(_answer, function, backbone, arguments), backbone, devices, threads)
    if devices is not None:
        function = partial(_placed, function, devices)
    answer = partial(_answer, function, backbone, arguments)
    return _forked(answer, threads, ending) if FORKS else answer()


def _placed(function: Callable[..., Any], devices: DeviceOptions, backbone: Any, *arguments: Any) -> Any:
    """Call a function with a backbone that is distributed over several GPUs."""
    place_on_gpus(backbone, devices)
    return function(backbone, *arguments)


def _forked(answer: Callable[[], bytes], threads: int, ending: list[int]) -> bytes:
    """An answer in a forked child process.

    Args:
        answer: Makes it.
        threads: Number of torch's threads in the child.
        ending: Processes of earlier calls that may not have ended yet; in the end that of this call, if it was brief.

    Returns:
        The pickled answer, or the failure of a process that ended without one.
    """
    kills, began = kernel_kills(), time.monotonic()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            torch.set_num_threads(threads)
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(answer())
                pipe.write(WHOLE)
            status = 0
        finally:
            for worker in multiprocessing.active_children():
                worker.terminate()
            # _exit skips the exit handlers, which belong to the parent.
            os._exit(status)
    os.close(writing)
    while ending:
        os.waitpid(ending.pop(), 0)
    with os.fdopen(reading, "rb") as answers:
        content = answers.read()
    # A child that was ended may have written a part of its answer.
    whole = content.endswith(WHOLE)
    if whole and _ends_by_itself(time.monotonic() - began):
        ending.append(child)
        return content.removesuffix(WHOLE)
    exitcode = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if whole and exitcode == 0:
        return content.removesuffix(WHOLE)
    return failure_bytes(ending_error(exitcode, kills))


def _ends_by_itself(seconds: float) -> bool:
    """Whether the process of a call may end while the next one starts, before that one measures."""
    # It needs a core of its own, and the context of a GPU would be in the way.
    return seconds < BRIEF_CALL and len(usable_cores()) > 1 and not torch.cuda.device_count()


def _answer(function: Callable[..., Any], backbone: Any, arguments: Sequence[Any]) -> bytes:
    """The pickled result of a call, or its pickled failure."""
    try:
        return pickle.dumps(function(backbone, *arguments))
    except BaseException as error:
        return failure_bytes(error)
