"""Workers: fresh processes for measurements, so that earlier work affects neither clocks nor memory.

On Linux one server process per backbone loads libraries and weights once and is then forked for each call, at a cost
of a few milliseconds. On other systems each call spawns a new process.
"""

import atexit
import io
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal, Protocol, Self

import torch

from bench.contracts import Backbone
from bench.engine.early_server import call_early, server_process
from bench.engine.failure import Failure
from bench.engine.parent_death import FORKS
from bench.engine.process_ending import TO_END, ending_error, kernel_kills
from bench.engine.server_start import packed
from bench.engine.trainer import DeviceOptions
from bench.engine.worker_server import load_ahead, serve


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


class ForkedWorker:
    """Worker with a fresh process for each call.

    Attributes:
        process: "fresh".
    """

    process: Literal["fresh", "same"] = "fresh"

    def __init__(self, make: Callable[[], Backbone | None], devices: DeviceOptions | None = None) -> None:
        """Prepare a worker; its process starts with ``start`` or the first call.

        Args:
            make: Picklable function that makes the backbone.
            devices: Devices that hold the backbone together, by their strategy; None for a backbone on one device.
        """
        self.make, self.devices = make, devices
        self._server: Any = None
        self._connection: Connection | None = None
        self._sent: tuple[Any, ...] = ()

    def load_ahead(self) -> None:
        """Let the process that waits for the first worker load the backbone already; without one do nothing."""
        call_early(packed(load_ahead, self.make, torch.get_num_threads(), self.devices))

    def start(self) -> Self:
        """Start loading the backbone; the first call waits until it is loaded."""
        call = packed(serve, self.make, torch.get_num_threads(), self.devices)
        self._server, self._connection = server_process(call)
        atexit.register(self.close)  # before Python waits for processes that are not daemons
        return self

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function with the backbone in a fresh process.

        The very same objects that this call and the one before begin with are not sent again: the server has them.

        Args:
            function: Picklable function whose first parameter is the backbone.
            *arguments: Its other arguments, picklable too.

        Returns:
            The function's result. Its errors are raised here, defects as ChildError.

        Raises:
            OutOfMemoryError: If torch or the kernel says that memory ran out.
            WorkerEndedError: If the process ends without an answer in any other way.
        """
        if self._connection is None:
            self.start()
        parts = (function, *arguments)
        known = _common(self._sent, parts)
        self._sent = ()
        # Plain bytes: multiprocessing's own way of sending puts tensors into shared memory, which may be small.
        request = io.BytesIO(bytes([known]))
        request.seek(1)
        pickle.dump(parts[known:], request)
        assert self._connection is not None
        kills = kernel_kills()
        try:
            self._connection.send_bytes(request.getbuffer())
            answer = pickle.loads(self._connection.recv_bytes())
        except (EOFError, ConnectionError):
            self._server.join(TO_END)
            exitcode = self._server.exitcode
            self.close()
            raise ending_error(exitcode, kills) from None
        except BaseException:
            # Interrupted while waiting: close the worker, so that its late reply is not read by the next call.
            self.close()
            raise
        if not FORKS:
            self.close()
        if isinstance(answer, Failure):
            raise answer.error
        if self._connection is not None:
            self._sent = parts
        return answer

    def close(self) -> None:
        """End the server process and any call under way."""
        if self._connection is not None:
            atexit.unregister(self.close)
            self._connection.close()
            self._server.terminate()
            self._server.join()
            self._connection = self._server = None
            self._sent = ()


def _common(earlier: Sequence[Any], later: Sequence[Any]) -> int:
    """Number of objects that both begin with."""
    number = 0
    for one, other in zip(earlier, later, strict=False):
        if one is not other:
            break
        number += 1
    return number
