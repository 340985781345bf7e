"""Ranks: forked processes that hold a language model together for one call, of which the first computes.

They are forks of the server that loaded the weights, so that the host's memory has these once. When one ends, the
others are ended, so that none waits for it.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from bench.contracts import LanguageBackbone
from bench.engine.failure import failure_bytes, holds_failure
from bench.engine.frozen import remember
from bench.engine.process_ending import ending_error, kernel_kills
from bench.engine.sharding import SHARDINGS, follow, import_deepspeed, lead, split
from bench.engine.trainer import DeviceOptions

TIMEOUT = timedelta(minutes=5)
"""Time within which all ranks have to take part in gathering a block; one that is stopped is given up."""
GRACE = 1.0
"""Seconds in which the end of a rank shows, after the first rank failed because of it."""


@dataclass(frozen=True)
class _Ranks:
    """What the ranks of a call share.

    Attributes:
        backbone: The model, as the server loaded it.
        devices: Device, strategy and number of ranks.
        threads: Number of torch's threads of the first rank.
        folder: Folder in which they find each other.
        answers: Ends to write of each rank's connection to the server.
        commands: Pairs of ends, to read and to write, from the first rank to each other one.
    """

    backbone: LanguageBackbone
    devices: DeviceOptions
    threads: int
    folder: Path
    answers: list[Connection]
    commands: list[tuple[Connection, Connection]]


def prepare(devices: DeviceOptions) -> None:
    """Import what ranks need, once for all calls, in the process that they are forks of.

    Args:
        devices: Their strategy.
    """
    # Where there is a GPU, DeepSpeed may start its driver, which does not survive a fork.
    if devices.strategy == "deepspeed" and not torch.cuda.device_count():
        import_deepspeed("cpu")


def answer_of_ranks(answer: Callable[[], bytes], backbone: Any, devices: DeviceOptions, threads: int) -> bytes:
    """Call a function in the first of several ranks.

    Args:
        answer: The function, which uses the backbone.
        backbone: The backbone, loaded in this process.
        devices: Device, strategy and number of ranks.
        threads: Number of torch's threads of the first rank.

    Returns:
        What the function returns, or a pickled Failure.
    """
    context, kills = get_context("fork"), kernel_kills()
    numbers = range(devices.devices)
    pipes = [context.Pipe(duplex=False) for _ in numbers]
    commands = [context.Pipe(duplex=False) for _ in numbers[1:]]
    reading = [pipe[0] for pipe in pipes]
    with TemporaryDirectory(prefix="bench-ranks-") as folder:
        shared = _Ranks(backbone, devices, threads, Path(folder), [pipe[1] for pipe in pipes], commands)
        ranks = [context.Process(target=_run_rank, args=(rank, shared, answer)) for rank in numbers]
        try:
            for process in ranks:
                process.start()
            for end in (*shared.answers, *(end for pair in commands for end in pair)):
                end.close()
            return _first_answer(ranks, reading, kills)
        finally:
            for process in ranks:
                if process.pid is not None:
                    process.kill()
                    process.join()
            for end in reading:
                end.close()


def _first_answer(ranks: Sequence[Any], reading: Sequence[Connection], kills: int) -> bytes:
    """The answer of the first rank, or why a rank ended before it."""
    wait([reading[0], *(process.sentinel for process in ranks[1:])])
    content = _received(reading[0]) if reading[0].poll() else b""
    if content and not holds_failure(content):
        return content
    # A rank that ended makes the first one fail, in gathering. After the end of the first one, the others end with 0.
    ended = wait([process.sentinel for process in ranks[1:]], GRACE)
    for process, end in zip(ranks[1:], reading[1:], strict=True):
        if process.sentinel in ended:
            process.join()  # its status is known an instant after its end shows
        if process.exitcode:
            return _received(end) or failure_bytes(ending_error(process.exitcode, kills))
    if content:
        return content
    ranks[0].join()
    return failure_bytes(ending_error(ranks[0].exitcode, kills))


def _received(end: Connection) -> bytes:
    """What a rank sent; nothing where it ended before."""
    try:
        return end.recv_bytes()
    except (EOFError, ConnectionError):
        return b""


def _run_rank(rank: int, shared: _Ranks, answer: Callable[[], bytes]) -> None:
    for other, end in enumerate(shared.answers):
        if other != rank:
            end.close()
    for other, (reading, writing) in enumerate(shared.commands, start=1):
        if other != rank:
            reading.close()
        if rank:
            writing.close()
    torch.set_num_threads(1 if rank else shared.threads)
    try:
        content = _joined(rank, shared, answer)
    except BaseException as error:
        content = failure_bytes(error)
    if content:
        shared.answers[rank].send_bytes(content)
        sys.exit(rank)  # of another rank than the first it is a failure


def _joined(rank: int, shared: _Ranks, answer: Callable[[], bytes]) -> bytes:
    """The answer of the first rank, nothing of the others."""
    strategy = str(shared.devices.strategy)
    sharding, blocks = SHARDINGS[strategy](_mesh(rank, shared)), list(shared.backbone.blocks)
    split(sharding, blocks)
    if rank:
        follow(sharding, blocks, shared.commands[rank - 1][0])
        return b""
    lead(strategy, sharding, blocks, [writing for _, writing in shared.commands])
    remember(shared.backbone)  # its shards, which the check of frozen weights compares
    return answer()


def _mesh(rank: int, shared: _Ranks) -> DeviceMesh:
    device, size = shared.devices.root_device(), shared.devices.devices
    if device.type == "cuda":
        torch.cuda.set_device((device.index or 0) + rank)
    # All ranks are on this host, whose name may have no address.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo", init_method=f"file://{shared.folder / 'ranks'}", rank=rank,
        world_size=size, timeout=TIMEOUT,
    )  # fmt: skip
    return init_device_mesh(device.type, (size,))
