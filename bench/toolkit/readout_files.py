"""Safetensors files of the readouts of memories inside a language model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from bench.contracts.errors import DataError, UsageError, one_line
from bench.toolkit.durable import make_folder, write_atomic, writing
from bench.toolkit.readout_forms import Keys, Values
from bench.toolkit.tensor_digest import tensor_digest

SCORER = "external.layers.{}.memory_reader.scorer.weight"
READOUT = "external.layers.{}.interpreter.out_proj.weight"
"""Published tensor names; the number of the memory goes between the braces."""
OUTPUT = "external.output.interpreter.out_proj.weight"
"""Name of the readout of the output memory, which the published method does not have."""
PACKAGED = Path(__file__).with_name("packaged_readouts")
"""Folder of the readouts that come with this package. A file under one name never changes: a run's identity has the
name."""
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


@dataclass(frozen=True)
class Readouts:
    """Everything a file of readouts says; the defaults are what published files mean.

    Attributes:
        middle: Readouts of the middle memories, in their order.
        output: ``[d, d]``, the projection of the output memory's answer that is added to the state before the final
            norm; None for a mixture by ``output_mix``.
        keys: What keys the readouts were trained with.
        values: What values they were trained with.
    """

    middle: tuple[Readout, ...] = ()
    output: Tensor | None = None
    keys: Keys = "state"
    values: Values = "following"


def read_readouts(path: Path, width: int) -> Readouts:
    """Read a file of readouts.

    Args:
        path: The safetensors file, or the bare name of packaged readouts; ``./NAME`` for a file of such a name.
        width: Width of the model's hidden states.

    Returns:
        The readouts, in float32.

    Raises:
        DataError: If the file is missing, unreadable, without readouts, made for a model of another width, or made with
            keys or values that are not known here.
    """
    packaged = PACKAGED / f"{path}.safetensors"
    tensors, header = read_tensors(packaged if len(path.parts) == 1 and packaged.is_file() else path)
    middle: list[Readout] = []
    while READOUT.format(len(middle)) in tensors:
        number = len(middle)
        scorer, out = SCORER.format(number), READOUT.format(number)
        _require_shape(path, tensors, scorer, (1, 2 * width), width)
        _require_shape(path, tensors, out, (width, width), width)
        middle.append(Readout(tensors[scorer].float(), tensors[out].float()))
    output = None
    if OUTPUT in tensors:
        _require_shape(path, tensors, OUTPUT, (width, width), width)
        output = tensors[OUTPUT].float()
    if not middle and output is None:
        raise DataError(f"{path} must hold tensors such as {READOUT.format(0)}, and holds no readout")
    keys, values = header.get("keys", "state"), header.get("values", "following")
    for name, found, known in (("keys", keys, get_args(Keys)), ("values", values, get_args(Values))):
        if found not in known:
            raise DataError(f"{name} of {path} must be one of {', '.join(known)}, got {found}; use a newer version")
    return Readouts(tuple(middle), output, keys, values)  # type: ignore[arg-type]


def _require_shape(path: Path, tensors: dict[str, Tensor], name: str, shape: tuple[int, ...], width: int) -> None:
    actual = tuple(tensors[name].shape) if name in tensors else "nothing"
    if actual != shape:
        raise DataError(
            f"{name} in {path} must have shape {shape} for a model {width} wide, got {actual}; "
            "use the readouts that were trained for this backbone"
        )


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
    with writing(f"--out {out}"):
        make_folder(out.parent)


def write_readouts(out: Path, readouts: Readouts, about: Mapping[str, object]) -> None:
    """Write readouts under their published names.

    Args:
        out: The safetensors file.
        readouts: The readouts.
        about: Facts for the header of the file.

    Raises:
        StoreError: If the file cannot be written; an earlier file is then unchanged.
    """
    tensors = {}
    for number, readout in enumerate(readouts.middle):
        for name, tensor in ((SCORER, readout.scorer), (READOUT, readout.out)):
            tensors[name.format(number)] = tensor
    if readouts.output is not None:
        tensors[OUTPUT] = readouts.output
    write_tensors(out, tensors, {**about, "keys": readouts.keys, "values": readouts.values})


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
    header = {name: str(value) for name, value in about.items()} | {DIGEST: tensor_digest(written)}
    with writing(f"--out {out}"):
        write_atomic(out, save(written, header))
