"""The last projection of open_clip's image towers: a matrix of a vision transformer, a layer of a ResNet's pooling."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bench.contracts import UsageError


def last_projection(tower: Any) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of the last projection.

    Args:
        tower: An image tower.

    Returns:
        Weight ``[dim_u, dim]``; bias ``[dim]``, None where there is none.

    Raises:
        UsageError: If the tower does not end with a projection.
    """
    if isinstance(getattr(tower, "proj", None), nn.Parameter):
        return tower.proj.detach(), None
    if isinstance(layer := getattr(getattr(tower, "attnpool", None), "c_proj", None), nn.Linear):
        return layer.weight.detach().mT, layer.bias.detach()
    raise UsageError(
        f"the image tower {type(tower).__name__} does not end with a projection of a known form; "
        "use projector, which maps features after it"
    )


@contextmanager
def without_projection(tower: Any) -> Iterator[None]:
    """A context in which a tower's output is what its last projection is applied to.

    Args:
        tower: An image tower.

    Yields:
        Nothing.

    Raises:
        UsageError: If the tower does not end with a projection.
    """
    weight, bias = last_projection(tower)
    if bias is None:
        kept, tower.proj = tower.proj, None
        try:
            yield
        finally:
            tower.proj = kept
        return
    # The pooling reads the layer's weights itself.
    identity = nn.Linear(len(weight), len(weight), device=weight.device, dtype=weight.dtype).requires_grad_(False)
    with torch.no_grad():
        nn.init.eye_(identity.weight)
        nn.init.zeros_(identity.bias)
    kept, tower.attnpool.c_proj = tower.attnpool.c_proj, identity
    try:
        yield
    finally:
        tower.attnpool.c_proj = kept
