"""Placement of a language model's blocks on several GPUs and in the host's memory, by accelerate (``device_map``).

Hidden states come back to the model's own device after each block, so that hooks of methods on blocks find them there.
Embeddings, final norm and output layer stay on that device.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from bench.contracts import LanguageBackbone
from bench.engine.frozen import remember
from bench.engine.split_blocks import SplitBlocks
from bench.engine.trainer import DeviceOptions
from bench.toolkit.extras import import_extra

SHARE = 0.8
"""Share of a GPU's free memory that blocks may take; the rest is for hidden states, keys and values."""


def layout(sizes: Sequence[int], rooms: Sequence[int]) -> list[int | None]:
    """Devices of blocks: in order, evenly over all devices as far as these have room.

    Args:
        sizes: Bytes of each block.
        rooms: Bytes that each device has room for.

    Returns:
        Number of the device of each block; None for a block that stays in the host's memory.
    """
    left, even, device = list(rooms), sum(sizes) / len(rooms), 0
    places: list[int | None] = []
    for size in sizes:
        while device < len(rooms) and (rooms[device] - left[device] >= even or left[device] < size):
            device += 1
        if device < len(rooms):
            places.append(device)
        else:
            roomiest = max(range(len(rooms)), key=left.__getitem__)
            places.append(roomiest if left[roomiest] >= size else None)
        if (chosen := places[-1]) is not None:
            left[chosen] -= size
    return places


def place_on_gpus(backbone: Any, devices: DeviceOptions) -> None:
    """Distribute a model over the GPUs of a run.

    Args:
        backbone: The language backbone, loaded on the CPU.
        devices: The first GPU and the number of all.
    """
    first = devices.root_device()
    gpus = [torch.device(first.type, (first.index or 0) + number) for number in range(devices.devices)]
    rooms = [int(SHARE * torch.cuda.mem_get_info(gpu)[0]) for gpu in gpus]
    sizes = [_bytes(block) for block in backbone.blocks]
    rooms[0] = max(0, rooms[0] - _bytes(backbone) + sum(sizes))
    place(backbone, [None if number is None else gpus[number] for number in layout(sizes, rooms)], first)
    remember(backbone)  # without what is in the host's memory alone


def place(backbone: LanguageBackbone, places: Sequence[torch.device | None], own: torch.device) -> None:
    """Put blocks in their places for good.

    Args:
        backbone: The model.
        places: Device of each block; None for the host's memory, from which it is copied to ``own`` each time it runs.
        own: Device of everything else.
    """
    hooks = import_extra("accelerate.hooks")
    blocks = list(backbone.blocks)
    for block, where in zip(blocks, places, strict=True):
        hook = hooks.AlignDevicesHook(
            execution_device=where or own, offload=where is None, io_same_device=True, place_submodules=True,
            skip_keys=getattr(backbone.causal_lm, "_skip_keys_device_placement", None),
        )  # fmt: skip
        hooks.add_hook_to_module(block, hook)
    SplitBlocks("device_map", blocks, lambda number: None, lambda number: None)


def _bytes(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))
