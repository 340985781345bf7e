"""Executor on this machine: several processes, each of which executes one unit at a time."""

import pickle
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from bench import own_packages
from bench.contracts import UsageError
from bench.engine.failure import Failure, failure_bytes
from bench.engine.process_ending import TO_END, ending_error, kernel_kills
from bench.engine.server_start import connected_process, packed
from bench.engine.trainer import quiet_lightning
from bench.runs.executors.interface import LostWorker, Refused, Work, WorkOptions

MOST_JOBS = 1024


@dataclass
class _Job:
    """A process and the unit that it executes."""

    process: Any
    connection: Connection
    kills: int
    number: int
    unit: Work | None = None
    last: Hashable = None


class LocalExecutor:
    """Several processes of this machine.

    Attributes:
        jobs: Their number.
    """

    name = "local"

    def __init__(self, jobs: int) -> None:
        """Prepare the executor; processes are started when units are submitted.

        Args:
            jobs: Number of processes.

        Raises:
            UsageError: For a number out of range.
        """
        if not 1 <= jobs <= MOST_JOBS:
            raise UsageError(f"jobs needs a number from 1 to {MOST_JOBS}, got {jobs}")
        self.jobs = jobs
        self._options: WorkOptions | None = None
        self._started: list[_Job] = []

    def start(self, options: WorkOptions) -> None:
        """Keep what all units share; see Executor."""
        self._options = options

    def device(self) -> tuple[str, str]:
        """Kind and model of this machine's device; see Executor."""
        assert self._options is not None
        return self._options.devices.device_kind(), self._options.devices.device_name()

    def places(self) -> int:
        """Number of processes; see Executor."""
        return self.jobs

    def room(self) -> int:
        """Number of processes that are free or can still be started."""
        return self.jobs - sum(job.unit is not None for job in self._started)

    def submit(self, unit: Work) -> None:
        """Execute a unit in a free process, if possible one that has its task and backbone loaded."""
        free = [job for job in self._started if job.unit is None]
        same = [job for job in free if job.last == unit.kept()]
        job = same[0] if same else self._begin() if len(self._started) < self.jobs else free[0]
        job.unit, job.last = unit, unit.kept()
        # A process that ended while it was free is found by ``finished``, as one that ends while it works.
        with suppress(ConnectionError):
            job.connection.send_bytes(pickle.dumps(unit))

    def _begin(self) -> _Job:
        number = min(set(range(self.jobs)) - {job.number for job in self._started})
        start = packed(serve_units, self._options_of(number), torch.get_num_threads())
        process, connection = connected_process(start)
        self._started.append(job := _Job(process, connection, kernel_kills(), number))
        return job

    def _options_of(self, number: int) -> WorkOptions:
        """Options of a process: where a machine has several GPUs, and none was chosen, they take turns."""
        assert self._options is not None
        devices = self._options.devices
        gpus = torch.cuda.device_count() if devices.device_kind() == "cuda" else 0
        if gpus < 2 or ":" in devices.accelerator or devices.strategy is not None:
            return self._options
        own = replace(devices, accelerator=f"cuda:{number % gpus}")
        return replace(self._options, devices=own)  # type: ignore[type-var]

    def finished(self, seconds: float) -> list[tuple[Work, object]]:
        """Outcomes of units, those of processes that ended among them; see Executor."""
        busy = {job.connection: job for job in self._started if job.unit is not None}
        outcomes: list[tuple[Work, object]] = []
        for connection in wait(list(busy), seconds):
            job = busy[connection]  # type: ignore[index]
            unit, job.unit = job.unit, None
            assert unit is not None
            try:
                answer = pickle.loads(job.connection.recv_bytes())
            except (EOFError, ConnectionError):
                outcomes.append((unit, self._lost(job)))
                continue
            outcomes.append((unit, Refused(answer.error) if isinstance(answer, Failure) else answer))
        return outcomes

    def _lost(self, job: _Job) -> LostWorker:
        job.process.join(TO_END)
        if (exitcode := job.process.exitcode) is None:
            error: Exception | str = "it closed its connection and went on"
        else:
            error = ending_error(exitcode, job.kills)
        self._end(job)
        return LostWorker(str(error))

    def _end(self, job: _Job) -> None:
        job.connection.close()
        job.process.terminate()
        job.process.join(TO_END)
        if job.process.is_alive():
            job.process.kill()
            job.process.join()
        self._started.remove(job)

    def close(self) -> None:
        """End all processes and their units."""
        for job in list(self._started):
            self._end(job)


def serve_units(connection: Connection, options: WorkOptions, threads: int) -> None:
    """Execute units until the connection closes.

    Args:
        connection: Receives pickled units, and sends pickled results.
        options: What all units share.
        threads: Number of torch's threads.
    """
    own_packages.put_first()
    quiet_lightning()
    torch.set_num_threads(threads)
    runner = options.runner()
    try:
        while True:
            try:
                unit = pickle.loads(connection.recv_bytes())
            except EOFError:
                return
            try:
                answer = pickle.dumps(runner.execute(unit))
            except Exception as error:
                answer = failure_bytes(error)
            connection.send_bytes(answer)
    finally:
        runner.close()
