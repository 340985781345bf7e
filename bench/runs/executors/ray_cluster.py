"""Executor on a Ray cluster: units are Ray tasks, and need no disk in common with the driver."""

import pickle
import socket
import warnings
from typing import Any

from bench.contracts import UsageError
from bench.contracts.errors import BenchWarning, one_line_error
from bench.engine.failure import Failure, failure_bytes
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.runs.executors.interface import LostWorker, Refused, Work, WorkOptions, WorkRunner
from bench.toolkit.extras import import_extra

AHEAD = 2
"""Units per processor of the cluster that are handed to Ray before earlier ones have ended."""
TO_ANSWER = 10.0
"""Seconds within which the address of a cluster has to accept a connection."""
RETRIES = 3
"""Times that Ray executes a unit again whose worker or node was lost."""
_RUNNERS: dict[bytes, WorkRunner] = {}
"""Of a worker process: what executes the units of a call. Ray gives further tasks to the same processes."""


class RayExecutor:
    """A Ray cluster.

    Attributes:
        address: Its address; None for one that is started on this machine.
        gpus_per_run: GPUs of a unit, or a share of one; 0 for none.
    """

    name = "ray"

    def __init__(self, address: str | None = None, gpus_per_run: float = 0.0) -> None:
        """Prepare the executor; ``start`` connects to the cluster.

        Args:
            address: Address of a cluster, "auto" for that of this machine; None to start one on this machine.
            gpus_per_run: GPUs of a unit: a whole number, or a share of one between 0 and 1.

        Raises:
            UsageError: For another number of GPUs, or if Ray is not installed.
        """
        if gpus_per_run < 0 or (gpus_per_run > 1 and gpus_per_run != int(gpus_per_run)):
            raise UsageError(f"gpus-per-run needs a whole number or a share between 0 and 1, got {gpus_per_run}")
        self.address, self.gpus_per_run = address, gpus_per_run
        self._ray: Any = import_extra("ray")
        self._connected = False
        self._options = b""
        self._running: dict[Any, Work] = {}
        self._tasks: dict[Any, Any] = {}

    def start(self, options: WorkOptions) -> None:
        """Connect to the cluster, or start one on this machine; see Executor."""
        self._options = pickle.dumps(options)
        if not self._ray.is_initialized():
            try:
                self._require_answer()
                self._ray.init(address=self.address, log_to_driver=False, logging_level="ERROR")
            except (OSError, ValueError, RuntimeError) as error:
                raise UsageError(
                    f"no Ray cluster can be used at {self.address or 'this machine'}: {one_line_error(error)}; "
                    "start one with ray start --head, or leave out --address"
                ) from error
            self._connected = True
        gpus = self._ray.cluster_resources().get("GPU", 0)
        if gpus and not self.gpus_per_run and not options.devices.accelerator.startswith("cpu"):
            line = (
                f"Ray hides the {gpus:g} GPUs of this cluster from runs that ask for none; --gpus-per-run 1 uses them"
            )
            warnings.warn(line, BenchWarning, stacklevel=2)

    def _require_answer(self) -> None:
        """Require that something listens at HOST:PORT; Ray itself tries for minutes."""
        host, _, port = (self.address or "").rpartition(":")
        if host and port.isdigit() and "://" not in host:
            with socket.create_connection((host, int(port)), TO_ANSWER):
                pass

    def _task(self, function: Any) -> Any:
        """A function as a Ray task; the same one each time, as Ray sends each new one to all workers."""
        if function not in self._tasks:
            made = self._ray.remote(function)
            self._tasks[function] = made.options(num_cpus=1, num_gpus=self.gpus_per_run, max_retries=RETRIES)
        return self._tasks[function]

    def device(self) -> tuple[str, str]:
        """Kind and model of the device of a worker; see Executor."""
        answer = pickle.loads(self._ray.get(self._task(device_bytes).remote(self._options)))
        if isinstance(answer, Failure):
            raise answer.error
        kind, name = answer
        return kind, name

    def places(self) -> int:
        """Units that the cluster can execute at once; see Executor."""
        total = self._ray.cluster_resources()
        places = total.get("CPU", 1.0)
        if self.gpus_per_run:
            places = min(places, total.get("GPU", 0.0) / self.gpus_per_run)
        return max(1, int(places))

    def room(self) -> int:
        """Units that are missing to AHEAD for each that the cluster can execute at once."""
        return AHEAD * self.places() - len(self._running)

    def submit(self, unit: Work) -> None:
        """Hand a unit to Ray; see Executor."""
        self._running[self._task(execute_bytes).remote(self._options, pickle.dumps(unit))] = unit

    def finished(self, seconds: float) -> list[tuple[Work, object]]:
        """Outcomes of units; see Executor."""
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        outcomes: list[tuple[Work, object]] = []
        for reference in ready:
            unit = self._running.pop(reference)
            try:
                answer = pickle.loads(self._ray.get(reference))
            except self._ray.exceptions.RayError as error:
                outcomes.append((unit, LostWorker(one_line_error(error))))
                continue
            outcomes.append((unit, Refused(answer.error) if isinstance(answer, Failure) else answer))
        return outcomes

    def close(self) -> None:
        """End all units under way, and leave the cluster."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running = {}
        self._tasks = {}
        if self._connected:
            self._ray.shutdown()
            self._connected = False


def execute_bytes(options: bytes, unit: bytes) -> bytes:
    """Execute a unit in a worker of Ray.

    Args:
        options: Pickled options of all units.
        unit: The pickled unit.

    Returns:
        The pickled result or failure.
    """
    quiet_lightning()
    if options not in _RUNNERS:
        for earlier in _RUNNERS.values():
            earlier.close()
        _RUNNERS.clear()
        _RUNNERS[options] = pickle.loads(options).runner()
    try:
        return pickle.dumps(_RUNNERS[options].execute(pickle.loads(unit)))
    except Exception as error:
        return failure_bytes(error)


def device_bytes(options: bytes) -> bytes:
    """Kind and model of the device of a worker of Ray.

    Args:
        options: Pickled options of all units.

    Returns:
        Both, or a failure, pickled.
    """
    devices: DeviceOptions = pickle.loads(options).devices
    try:
        return pickle.dumps((devices.device_kind(), devices.device_name()))
    except UsageError as error:
        return failure_bytes(error)
