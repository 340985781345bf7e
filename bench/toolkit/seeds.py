"""Seeds derived from names, so that every random stream is the same on every machine and in every process."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def name_seed(*names: object) -> int:
    """A 63-bit seed derived from names.

    Args:
        *names: The parts of the stream's name, such as task, ways, seed and episode.

    Returns:
        An integer in ``0 .. 2**63 - 1``, equal for equal names.
    """
    text = "\x1f".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@contextmanager
def seeded(seed: int, device: "torch.device") -> Iterator[None]:
    """Context with torch's generators at a seed; afterwards they go on as if nothing had been drawn.

    Args:
        seed: The seed.
        device: Device that draws besides the CPU. The states of other GPUs are not read, which takes time on each.

    Yields:
        Nothing.
    """
    import torch

    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
