"""Readouts as files: written by training, or taken out of released checkpoints."""

import json
import re
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bench.contracts import DataError
from bench.contracts.errors import one_line
from bench.toolkit.readout_files import READOUT, SCORER, Readout
from bench.toolkit.sources import hub_folder

_NUMBER = re.compile("|".join(re.escape(name).replace(r"\{\}", r"(\d+)") for name in (SCORER, READOUT)))
INDEX = "model.safetensors.index.json"
"""Says in which file of a checkpoint each tensor is."""


def released_readouts(source: str) -> list[Readout]:
    """The readouts among the tensors of a released checkpoint.

    source: a .safetensors file, a folder of them, or an id of the hub, of which the files with readouts alone are
    downloaded. Raises DataError if there are none, or if they do not fit each other.
    """
    tensors: dict[str, Tensor] = {}
    for path in _files(source):
        tensors |= _readout_tensors(path)
    if not tensors:
        raise DataError(f"{source} holds no readout; it needs tensors such as {READOUT.format(0)}")
    return _checked(source, tensors)


def _files(source: str) -> list[Path]:
    path = Path(source)
    if path.is_file():
        return [path]
    if not path.is_dir():
        if path.suffix == ".safetensors" or source.count("/") != 1 or source.startswith(("/", ".")):
            raise DataError(f"{source} is no file, no folder and no id of the hub such as gshbao/faast-gpt2-xl")
        path = hub_folder(source, "model", "main", (INDEX,))
        path = hub_folder(source, "model", "main", _shards(path / INDEX))
    files = sorted(path.glob("*.safetensors"))
    if not files:
        raise DataError(f"{source} holds no *.safetensors")
    return files


def _shards(index: Path) -> tuple[str, ...]:
    """The files that hold readouts, as an index says; all where there is no index."""
    if not index.is_file():
        return ("*.safetensors",)
    try:
        placed: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{index} cannot be read as an index of tensors: {one_line(error)}") from None
    found = {file for name, file in placed.items() if _NUMBER.fullmatch(name)}
    return tuple(sorted(found)) or ("*.safetensors",)


def _readout_tensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys() if _NUMBER.fullmatch(name)}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} cannot be read as safetensors: {one_line(error)}") from None


def _checked(source: str, tensors: dict[str, Tensor]) -> list[Readout]:
    """The tensors as readouts of memories 0, 1, ... of one width."""
    numbers = {int(next(filter(None, match.groups()))) for name in tensors if (match := _NUMBER.fullmatch(name))}
    readouts = []
    width = 0
    for number in range(max(numbers) + 1):
        names = SCORER.format(number), READOUT.format(number)
        for name in names:
            if name not in tensors:
                raise DataError(f"{source} has readouts up to number {max(numbers)}, but no {name}")
        scorer, out = (tensors[name] for name in names)
        width = width or out.shape[-1]
        for name, tensor, shape in zip(names, (scorer, out), ((1, 2 * width), (width, width)), strict=True):
            if tuple(tensor.shape) != shape:
                raise DataError(f"{name} of {source} must have shape {shape}, got {tuple(tensor.shape)}")
            if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
                raise DataError(f"{name} of {source} must hold finite real numbers")
        readouts.append(Readout(scorer.float(), out.float()))
    return readouts
