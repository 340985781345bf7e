"""What stands inside a language model: where memories are hooked in, and the readouts that were trained for them.

Methods use it to answer, ``bench readout`` to train (FAAST, arXiv 2605.04651).
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.errors import DataError

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


def weighed(keys: Tensor, values: Tensor, scorer: Tensor) -> Tensor:
    """Each value ``[..., d]`` times ``sigmoid(s . [k; v])``, s being ``scorer [1, 2 d]``."""
    return values * torch.sigmoid(torch.cat([keys, values], dim=-1) @ scorer.mT)


def middle_sites(n_blocks: int, n_memories: int) -> list[int]:
    """The blocks before which middle memories stand: ``int(L / (n + 1) * (i + 1))``."""
    return [int(n_blocks / (n_memories + 1) * (number + 1)) for number in range(n_memories)]


@contextmanager
def hooked(places: Sequence[tuple[nn.Module, Any]]) -> Iterator[None]:
    """Have each module's first input replaced by what its function makes of it; None leaves it as it is."""

    def hook(change: Any) -> Any:
        def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            states = args[0] if args else kwargs["hidden_states"]
            changed = change(states)
            if changed is None:
                return None
            if args:
                return (changed, *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": changed}

        return before

    with ExitStack() as stack:
        for module, change in places:
            handle = module.register_forward_pre_hook(hook(change), with_kwargs=True)
            stack.callback(handle.remove)
        yield
