"""Shards: each rank holds a part of the weights of each block of a language model, and gathers them while it runs.

The first rank alone computes; the others take part in gathering. So nothing that depends on a clock, such as the number
of repeats of a measurement, can make ranks wait for each other for ever.
"""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection
from typing import Any, Protocol, cast

import torch
import torch._dynamo  # noqa: F401 (each call of FSDP's hooks needs it, and it takes seconds: once, before ranks are forked)
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from bench.engine.split_blocks import SplitBlocks
from bench.toolkit.environment import variable
from bench.toolkit.extras import import_extra

WIDTH = 4
"""Bytes of a block's number as the first rank sends it."""


class Sharding(Protocol):
    """A library that splits weights over ranks. Each rank calls the same methods with the same blocks in order."""

    def split(self, block: nn.Module) -> None:
        """Keep this rank's part of a block's weights.

        Args:
            block: The block, whole on the CPU.
        """

    def gather(self, block: nn.Module) -> None:
        """Make a block whole on this rank's device.

        Args:
            block: The block.
        """

    def release(self, block: nn.Module) -> None:
        """Keep this rank's part alone again; other ranks do not take part.

        Args:
            block: The block.
        """


class Fsdp:
    """PyTorch's fully sharded data parallelism (Zhao et al. 2023, arXiv 2304.11277) by ``fully_shard``."""

    def __init__(self, mesh: DeviceMesh) -> None:
        """Prepare it.

        Args:
            mesh: The ranks.
        """
        self.mesh = mesh

    def split(self, block: nn.Module) -> None:
        """Shard the block; see Sharding."""
        fully_shard(block, mesh=self.mesh, reshard_after_forward=True)

    def gather(self, block: nn.Module) -> None:
        """Unshard the block; see Sharding."""
        cast(FSDPModule, block).unshard()

    def release(self, block: nn.Module) -> None:
        """Reshard the block; see Sharding."""
        cast(FSDPModule, block).reshard()


class ZeroInference:
    """DeepSpeed's ZeRO-3 without an optimizer (Rajbhandari et al. 2020, arXiv 1910.02054)."""

    def __init__(self, mesh: DeviceMesh) -> None:
        """Start DeepSpeed on the ranks that there are.

        Args:
            mesh: The ranks.
        """
        on_gpu = mesh.device_type == "cuda"
        self._deepspeed: Any = import_deepspeed(mesh.device_type)
        self._deepspeed.init_distributed(dist_backend="nccl" if on_gpu else "gloo", verbose=False)
        self._number = torch.cuda.current_device() if on_gpu else mesh.get_rank()
        # Its own linear layers save memory in training alone.
        zero = {"stage": 3, "memory_efficient_linear": False}
        self._config = {"train_batch_size": mesh.size(), "zero_optimization": zero}
        self._whole: dict[nn.Module, AbstractContextManager[Any]] = {}

    def split(self, block: nn.Module) -> None:
        """Partition the block; see Sharding."""
        # DeepSpeed reads the number of the device there, and Lightning would take it for a rank of its own.
        with variable("LOCAL_RANK", str(self._number)):
            self._deepspeed.zero.Init(module=block, config_dict_or_path=self._config)

    def gather(self, block: nn.Module) -> None:
        """Gather the block's parameters; see Sharding."""
        gathered = self._deepspeed.zero.GatheredParameters(list(block.parameters()))
        # Tensors of inference mode, in which Lightning answers, cannot be the data of parameters outside of it.
        with torch.inference_mode(False):
            gathered.__enter__()
        self._whole[block] = gathered

    def release(self, block: nn.Module) -> None:
        """Partition the block's parameters again; see Sharding."""
        with torch.inference_mode(False):
            self._whole.pop(block).__exit__(None, None, None)


def import_deepspeed(device_type: str) -> Any:
    """Import DeepSpeed for one kind of device; it would choose a GPU that the run does not use.

    Args:
        device_type: "cpu" or "cuda".

    Returns:
        The module.
    """
    os.environ.setdefault("DS_ACCELERATOR", device_type)
    deepspeed = import_extra("deepspeed")
    if device_type == "cpu":
        # It would compile an operator for minutes when it starts, and none of its own is used.
        deepspeed.ops.__compatible_ops__.clear()
    return deepspeed


SHARDINGS: dict[str, type[Fsdp] | type[ZeroInference]] = {"fsdp": Fsdp, "deepspeed": ZeroInference}
"""Libraries by strategy."""


def split(sharding: Sharding, blocks: Sequence[nn.Module]) -> None:
    """Split all blocks over the ranks.

    Args:
        sharding: The library.
        blocks: The blocks of a model, whole on the CPU.
    """
    for block in blocks:
        sharding.split(block)
    for block in blocks:
        # Once outside of Lightning's inference mode, whose tensors are of no use after it.
        sharding.gather(block)
        sharding.release(block)


def lead(strategy: str, sharding: Sharding, blocks: Sequence[nn.Module], others: Sequence[Connection]) -> None:
    """Let each block of this rank be gathered when it runs.

    Args:
        strategy: Name of the strategy.
        sharding: The library.
        blocks: The split blocks.
        others: Connections to the other ranks.
    """

    def begin(number: int) -> None:
        for other in others:
            other.send_bytes(number.to_bytes(WIDTH, "big"))
        sharding.gather(blocks[number])

    SplitBlocks(strategy, blocks, begin, lambda number: sharding.release(blocks[number]))


def follow(sharding: Sharding, blocks: Sequence[nn.Module], first: Connection) -> None:
    """Take part in gathering blocks until the first rank ends.

    Args:
        sharding: The library.
        blocks: The split blocks.
        first: Connection to the first rank.
    """
    while True:
        try:
            number = int.from_bytes(first.recv_bytes(), "big")
        except (EOFError, ConnectionError):
            return
        sharding.gather(blocks[number])
        sharding.release(blocks[number])
