"""Safetensors files of the readouts of middle memories."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from bench.contracts import StoreError, UsageError
from bench.contracts.errors import DataError, one_line
from bench.toolkit.durable import make_folder, write_atomic
from bench.toolkit.tensor_digest import tensor_digest

SCORER = "external.layers.{}.memory_reader.scorer.weight"
READOUT = "external.layers.{}.interpreter.out_proj.weight"
"""Published tensor names; the number of the memory goes between the braces."""
DIGEST = "digest"
"""Entry of a file's header with the digest of its tensors."""


@dataclass(frozen=True)
class Readout:
    """Trained matrices of one middle memory in a model of width d.

    Attributes:
        scorer: ``[1, 2 d]``, the vector s of the gate ``sigmoid(s . [k; v])`` that weights a pair.
        out: ``[d, d]``, the projection of the memory's answer that is added to the hidden state.
    """

    scorer: Tensor
    out: Tensor


def read_readouts(path: Path, width: int) -> list[Readout]:
    """Read the readouts of a file.

    Args:
        path: The safetensors file.
        width: Width of the model's hidden states.

    Returns:
        The readouts in the order of their memories, in float32.

    Raises:
        DataError: If the file is missing, unreadable, without readouts, or made for a model of another width.
    """
    tensors, _ = read_tensors(path)
    readouts: list[Readout] = []
    while READOUT.format(len(readouts)) in tensors:
        number = len(readouts)
        shapes = {SCORER.format(number): (1, 2 * width), READOUT.format(number): (width, width)}
        for name, shape in shapes.items():
            actual = tuple(tensors[name].shape) if name in tensors else "nothing"
            if actual != shape:
                raise DataError(
                    f"{name} in {path} must have shape {shape} for a model {width} wide, got {actual}; "
                    "use the readouts that were trained for this backbone"
                )
        readouts.append(Readout(tensors[SCORER.format(number)].float(), tensors[READOUT.format(number)].float()))
    if not readouts:
        raise DataError(f"{path} must hold tensors such as {READOUT.format(0)}, and holds no readout")
    return readouts


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a file of ``bench readout``, or one of another program in its format.

    Args:
        path: The safetensors file.

    Returns:
        Tensors by name, and the header of the file.

    Raises:
        DataError: If the file is missing, unreadable or damaged.
    """
    if not path.is_file():
        raise DataError(f"readouts need a safetensors file, found none at {path}; make one with bench readout train")
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 not a dict
            header: dict[str, str] = file.metadata() or {}
    except Exception as error:  # a damaged header raises many kinds
        raise DataError(f"readouts cannot be read from {path}: {one_line(error)}") from None
    digest = header.get(DIGEST)
    if digest is not None and digest != tensor_digest(tensors):  # files of other programs have none
        raise DataError(f"readouts in {path} are damaged: they have another digest; restore the file or train again")
    return tensors, header


def prepare_file(out: Path) -> None:
    """Make the folder of an output file.

    Args:
        out: The file.

    Raises:
        UsageError: If the path is a folder.
        StoreError: If the folder cannot be made.
    """
    if out.is_dir():
        raise UsageError(f"--out needs a file, got the folder {out}")
    try:
        make_folder(out.parent)
    except OSError as error:
        raise StoreError(f"--out {out} cannot be written: {error.strerror}") from None


def write_readouts(out: Path, readouts: list[Readout], about: Mapping[str, object]) -> None:
    """Write readouts under their published names.

    Args:
        out: The safetensors file.
        readouts: Readouts in the order of their memories.
        about: Facts for the header of the file.

    Raises:
        StoreError: If the file cannot be written; an earlier file is then unchanged.
    """
    tensors = {}
    for number, readout in enumerate(readouts):
        for name, tensor in ((SCORER, readout.scorer), (READOUT, readout.out)):
            tensors[name.format(number)] = tensor
    write_tensors(out, tensors, about)


def write_tensors(out: Path, tensors: Mapping[str, Tensor], about: Mapping[str, object]) -> None:
    """Write trained tensors in float32, with a digest in the header.

    Args:
        out: The safetensors file.
        tensors: Tensors by name.
        about: Facts for the header of the file.

    Raises:
        StoreError: If the file cannot be written; an earlier file is then unchanged.
    """
    written = {name: tensor.detach().float().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        header = {name: str(value) for name, value in about.items()} | {DIGEST: tensor_digest(written)}
        write_atomic(out, save(written, header))
    except OSError as error:
        raise StoreError(f"--out {out} cannot be written: {error.strerror}") from None
