"""Seeds derived from names, so that every random stream is the same on every machine and in every process."""

import hashlib


def name_seed(*names: object) -> int:
    """A 63-bit seed derived from names.

    Args:
        *names: The parts of the stream's name, such as task, ways, seed and episode.

    Returns:
        An integer in ``0 .. 2**63 - 1``, equal for equal names.
    """
    text = "\x1f".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
