"""Zero-shot cosines, of which methods published for CLIP are made."""

from torch import Tensor

from bench.contracts import Backbone, Classes

SCALE = 100.0
"""What CLIP multiplies cosines by; zero-shot logits of any backbone over this stand for cosines."""


def cosines(backbone: Backbone, prior: Tensor, classes: Classes) -> Tensor:
    """Zero-shot logits at the size of cosines.

    Args:
        backbone: The frozen model.
        prior: ``[episode, item, dim_v]``.
        classes: The classes of each episode.

    Returns:
        ``[episode, item, way]``.
    """
    return backbone.class_logits(prior, classes) / SCALE
