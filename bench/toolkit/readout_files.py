"""Readouts of middle memories as safetensors files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from bench.contracts import StoreError, UsageError
from bench.contracts.errors import DataError

SCORER = "external.layers.{}.memory_reader.scorer.weight"


READOUT = "external.layers.{}.interpreter.out_proj.weight"
"""Tensor names as published; the braces hold the memory's number."""


@dataclass(frozen=True)
class Readout:
    """What was trained for one middle memory.

    scorer: ``[1, 2 d]``, weighs a pair by ``sigmoid(s . [k; v])``. out: ``[d, d]``, from the answer to the state.
    """

    scorer: Tensor
    out: Tensor


def read_readouts(path: Path, width: int) -> list[Readout]:
    """The readouts of a file, in the order of their memories. Raises DataError if they do not fit the model."""
    if not path.is_file():
        raise DataError(f"readouts need a safetensors file, found none at {path}; make one with bench readout train")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise DataError(f"readouts cannot be read from {path}: {error}") from None
    found: list[Readout] = []
    while READOUT.format(len(found)) in tensors:
        number = len(found)
        wanted = {SCORER.format(number): (1, 2 * width), READOUT.format(number): (width, width)}
        for name, shape in wanted.items():
            came = tuple(tensors[name].shape) if name in tensors else "nothing"
            if came != shape:
                raise DataError(
                    f"{name} in {path} must have shape {shape} for a model {width} wide, got {came}; "
                    "readouts belong to the backbone that they were trained for"
                )
        found.append(Readout(tensors[SCORER.format(number)].float(), tensors[READOUT.format(number)].float()))
    if not found:
        raise DataError(f"{path} holds no readout; it needs tensors such as {READOUT.format(0)}")
    return found


def prepare_file(out: Path) -> None:
    """Make the folder of a file to be written. Raises UsageError or StoreError if it cannot be."""
    if out.is_dir():
        raise UsageError(f"--out needs a file, got the folder {out}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"--out {out} cannot be written: {error.strerror}") from None


def write_readouts(out: Path, readouts: list[Readout], about: Mapping[str, object]) -> None:
    """Save readouts under their published names; ``about`` goes into the file's header.

    Raises StoreError if the file cannot be written; what was there before is then still there.
    """
    tensors = {}
    for number, readout in enumerate(readouts):
        for name, tensor in ((SCORER, readout.scorer), (READOUT, readout.out)):
            tensors[name.format(number)] = tensor.detach().float().cpu().contiguous()
    half = out.with_name(f".{out.name}.part")
    try:
        half.write_bytes(save(tensors, {name: str(value) for name, value in about.items()}))
        half.replace(out)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise StoreError(f"--out {out} cannot be written: {error.strerror}") from None
