"""Import of readouts from released checkpoints."""

import json
import re
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bench.contracts import DataError
from bench.contracts.errors import one_line
from bench.toolkit.files import user_path
from bench.toolkit.readout_files import READOUT, SCORER, Readout, Readouts
from bench.toolkit.sources import hub_folder

_NUMBER = re.compile("|".join(re.escape(name).replace(r"\{\}", r"(\d+)") for name in (SCORER, READOUT)))
INDEX = "model.safetensors.index.json"
"""File of a checkpoint that names the file of each tensor."""


def released_readouts(source: str) -> Readouts:
    """Read the readouts of a released checkpoint.

    Args:
        source: A .safetensors file, a folder of them, or an id of the hub, from which only the files with readouts are
            downloaded.

    Returns:
        The readouts of middle memories 0, 1, ... in order.

    Raises:
        DataError: If the checkpoint cannot be read, has no readouts, or has readouts of unequal shapes.
    """
    tensors: dict[str, Tensor] = {}
    for path in _files(source):
        tensors |= _readout_tensors(path)
    if not tensors:
        raise DataError(f"{source} must hold tensors such as {READOUT.format(0)}, and holds no readout")
    return _checked(source, tensors)


def _files(source: str) -> list[Path]:
    path = user_path(source)
    if path.is_file():
        return [path]
    if not path.is_dir():
        if path.suffix == ".safetensors" or source.count("/") != 1 or source.startswith(("/", ".")):
            raise DataError(
                f"the source must be a file, a folder or an id of the hub such as gshbao/faast-gpt2-xl, got {source}"
            )
        path = hub_folder(source, "model", "main", (INDEX,))
        path = hub_folder(source, "model", "main", _shards(path / INDEX))
    files = sorted(path.glob("*.safetensors"))
    if not files:
        raise DataError(f"{source} must hold *.safetensors files, and holds none")
    return files


def _shards(index: Path) -> tuple[str, ...]:
    """Names of the files with readouts according to the index; a pattern for all files without one."""
    if not index.is_file():
        return ("*.safetensors",)
    try:
        file_of: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{index} cannot be read as an index of tensors: {one_line(error)}") from None
    files = {file for name, file in file_of.items() if _NUMBER.fullmatch(name)}
    return tuple(sorted(files)) or ("*.safetensors",)


def _readout_tensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys() if _NUMBER.fullmatch(name)}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} cannot be read as safetensors: {one_line(error)}") from None


def _checked(source: str, tensors: dict[str, Tensor]) -> Readouts:
    """The tensors as readouts of memories 0, 1, ..., after checks of number, shape and values."""
    numbers = {int(next(filter(None, match.groups()))) for name in tensors if (match := _NUMBER.fullmatch(name))}
    readouts = []
    width = 0
    for number in range(max(numbers) + 1):
        names = SCORER.format(number), READOUT.format(number)
        for name in names:
            if name not in tensors:
                raise DataError(f"{source} must hold readouts 0 to {max(numbers)} without gaps, and has no {name}")
        scorer, out = (tensors[name] for name in names)
        width = width or out.shape[-1]
        for name, tensor, shape in zip(names, (scorer, out), ((1, 2 * width), (width, width)), strict=True):
            if tuple(tensor.shape) != shape:
                raise DataError(f"{name} of {source} must have shape {shape}, got {tuple(tensor.shape)}")
            if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
                raise DataError(f"{name} of {source} must hold finite real numbers")
        readouts.append(Readout(scorer.float(), out.float()))
    return Readouts(tuple(readouts))
