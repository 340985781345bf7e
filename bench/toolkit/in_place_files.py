"""Safetensors files of the trained parts of in-place test-time training (arXiv 2604.06169)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contracts.errors import DataError
from bench.toolkit.in_place_chunks import KERNEL, InPlaceParts
from bench.toolkit.readout_files import read_tensors, write_tensors

CONV = "layers.{}.mlp.ttt_conv.weight"
PROJ = "layers.{}.mlp.ttt_proj.weight"
"""Tensor names of the authors' code; the number of the block goes between the braces."""
_NUMBER = re.compile(CONV.replace(".", r"\.").replace("{}", r"(\d+)"))


@dataclass(frozen=True)
class TrainedParts:
    """The content of a file.

    Attributes:
        parts: Convolution and P of each block, by its number, ascending.
        about: Header of the file, with ``target``, ``memory_rate`` and ``chunk`` of the training if this project made
            it.
    """

    parts: dict[int, InPlaceParts]
    about: dict[str, str]


def read_in_place(path: Path, width: int) -> TrainedParts:
    """Read trained parts.

    Args:
        path: The safetensors file.
        width: Width of the model's hidden states.

    Returns:
        The parts in float32.

    Raises:
        DataError: If the file is missing, unreadable, without parts, or made for a model of another width.
    """
    tensors, about = read_tensors(path)
    numbers = sorted(int(match[1]) for name in tensors if (match := _NUMBER.fullmatch(name)))
    parts: dict[int, InPlaceParts] = {}
    for number in numbers:
        shapes = {CONV.format(number): (width, 1, KERNEL), PROJ.format(number): (width, width)}
        for name, shape in shapes.items():
            actual = tuple(tensors[name].shape) if name in tensors else "nothing"
            if actual != shape:
                raise DataError(
                    f"{name} in {path} must have shape {shape} for a model {width} wide, got {actual}; "
                    "use the file that was trained for this backbone"
                )
        conv, proj = (tensors[name].float() for name in shapes)
        parts[number] = InPlaceParts(conv, proj)
    if not parts:
        raise DataError(f"{path} must hold tensors such as {CONV.format(0)}, and holds none")
    return TrainedParts(parts, about)


def write_in_place(out: Path, parts: Mapping[int, InPlaceParts], about: Mapping[str, Any]) -> None:
    """Write trained parts under the names of the authors' code.

    Args:
        out: The safetensors file.
        parts: Parts by the number of their block, each with a P.
        about: Facts for the header of the file.

    Raises:
        StoreError: If the file cannot be written; an earlier file is then unchanged.
    """
    tensors = {}
    for number, each in parts.items():
        for name, tensor in ((CONV, each.conv), (PROJ, each.proj)):
            assert tensor is not None
            tensors[name.format(number)] = tensor
    write_tensors(out, tensors, about)
