"""Scores of raw images by a backbone with adapters, a batch of images at a time."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from bench.contracts import Backbone, Classes, Inputs, Query

INPUTS_AT_ONCE = 64
"""Images that are encoded together when answering."""


def parts(inputs: Inputs) -> Iterator[Inputs]:
    """The images of one episode without padding, in order.

    Args:
        inputs: Raw inputs of one episode.

    Yields:
        INPUTS_AT_ONCE of them or fewer.
    """
    places = inputs.positions[0]
    places = places[places >= 0]
    for start in range(0, len(places), INPUTS_AT_ONCE):
        yield Inputs(places[None, start : start + INPUTS_AT_ONCE], inputs.fetch)


def image_scores(backbone: Backbone, inputs: Inputs, classes: Classes) -> Tensor:
    """Scores of images, encoded together.

    Args:
        backbone: The backbone.
        inputs: Images of one episode.
        classes: Its classes.

    Returns:
        ``[item, way]`` of the items that are no padding.
    """
    prepared = [backbone.prepare(raw) for raw in inputs.episode(0)]
    prior = backbone.encode(backbone.collate(prepared)).prior
    return backbone.class_logits(prior.unsqueeze(0), classes).squeeze(0)


def answered(query: Query, score: Callable[[Inputs], Tensor]) -> Tensor:
    """Scores of all queries of one episode.

    Args:
        query: The queries.
        score: Function from some of the images to ``[item, way]``.

    Returns:
        ``[1, item, way]``, 0 where an item is padding.
    """
    scores = query.prior.new_zeros(*query.mask.shape, query.classes.n_way)
    if found := [score(part) for part in parts(query.inputs)]:
        scores[query.mask] = torch.cat(found).to(scores)
    return scores
