"""Digest of tensors, to notice damage of files that this program wrote."""

from collections.abc import Mapping

import xxhash
from torch import Tensor


def tensor_digest(tensors: Mapping[str, Tensor]) -> str:
    """XXH3 of names, types, shapes and values of tensors.

    Args:
        tensors: Tensors on the CPU, by name.

    Returns:
        32 hexadecimal digits.
    """
    made = xxhash.xxh3_128()
    for name, tensor in sorted(tensors.items()):
        made.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        made.update(tensor.contiguous().numpy().reshape(-1).view("u1").data)
    return made.hexdigest()
