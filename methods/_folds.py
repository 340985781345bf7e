"""Cross-validation of trained classifiers: further copies of an episode, each without one part of its support set."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.contracts import ProblemShape
from methods._held_out import Sample
from methods._moments import class_sizes

MOST_FOLDS = 5
"""Most parts that the support set is cut into."""


def fold_count(shape: ProblemShape) -> int:
    """Number of folds: as many as shots, at most five, and none for one shot.

    Args:
        shape: Sizes of the problem.

    Returns:
        The number of further copies to train.
    """
    shots = shape.n_support // shape.n_way
    return min(MOST_FOLDS, shots) if shots > 1 else 0


class Folds:
    """Parts of each class, drawn by the seed, for copies that are trained without one of them.

    Attributes:
        count: Number of parts; 0 for no copies but the first.
        fold: ``[episode, item]``, the part of an item.
        training: ``[(1 + count) * episode, item]``: the items that a copy trains on; all of them for the first copies.
        counts: ``[episode, item]``, False for padding and where an item's class has no other item.
    """

    def __init__(self, sample: Sample, n_way: int, count: int) -> None:
        """Draw the parts.

        Args:
            sample: All items of the support set.
            n_way: Number of classes.
            count: Number of parts.
        """
        self.count = count
        self.fold = sample.rank(n_way) % max(1, count)
        self.training = torch.cat([sample.mask, *(sample.mask & (self.fold != part) for part in range(count))])
        sizes = class_sizes(sample.labels, sample.mask, n_way)
        self.counts = sample.mask & (sizes.gather(1, sample.labels) > 1)

    def copies(self, tensor: Tensor) -> Tensor:
        """A tensor for all copies.

        Args:
            tensor: ``[episode, ...]``.

        Returns:
            ``[(1 + count) * episode, ...]``.
        """
        return tensor.repeat(1 + self.count, *(1 for _ in tensor.shape[1:]))

    def out_of_fold(self, scores: Sequence[Tensor]) -> Tensor:
        """Scores of each item by the copy that was trained without it.

        Args:
            scores: ``[episode, item, way]`` by each of the ``count`` further copies.

        Returns:
            ``[episode, item, way]``.
        """
        index = self.fold.view(1, *self.fold.shape, 1).expand(1, *scores[0].shape)
        return torch.stack(list(scores)).gather(0, index)[0]
