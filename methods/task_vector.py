"""Task vectors: the state at the end of a prompt with demonstrations in place of that of a prompt without."""

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor

from methods._end_vectors import EndVectorConfig, EndVectorMethod
from methods._prompt_ends import after_blocks, end_inputs

SPREAD = 4
"""Dummy queries by which the spread of the vector is measured."""


class TaskVectorConfig(EndVectorConfig):
    """Hyper-parameters of task vectors."""

    dummies: int = Field(default=1, ge=1, le=64, description="Dummy queries whose states are averaged.")


class TaskVector(EndVectorMethod):
    """The state after a block at the last token of demonstrations and a dummy query, put in place of a query's own.

    The dummy query is the prompt of a support item, without its answer, after all others as demonstrations. A
    ``strength`` s between 0 and 1 leaves ``1 - s`` of the query's own state. ``notes`` have the spread of the vector
    over four dummy queries, as a share of its length.

    The block is the one with the best accuracy on support items, each answered by the vector of demonstrations
    without its part (of five, at most 50 items); the default, at two fifths of the depth, stays unless another
    is better by more than a standard error. The authors take the best on a development set.
    """

    Config = TaskVectorConfig
    config: TaskVectorConfig
    source = "Hendel et al. 2023, In-Context Learning Creates Task Vectors, arXiv 2310.15916"

    def found(self, order: Sequence[int]) -> tuple[int, Tensor]:
        """The chosen block, and the mean state over dummy queries there."""
        most = max(self.config.dummies, SPREAD)
        vectors = torch.cat([self._vectors(order, item) for item in order[::-1][:most]])
        layer = self.best_layer(order, 2 * len(self.backbone.blocks) // 5, self._of_others)
        at_layer = vectors[:, layer]
        if len(at_layer) > 1:
            mean = at_layer.mean(dim=0)
            distance = torch.linalg.vector_norm(at_layer - mean, dim=-1).mean() / torch.linalg.vector_norm(mean)
            self.notes["spread"] = round(float(distance), 4)
        return layer, at_layer[: self.config.dummies].mean(dim=0)

    def change(self, states: Tensor, vector: Tensor) -> Tensor:
        """A mixture of the states and the vector."""
        return torch.lerp(states, vector.expand_as(states), self.config.strength)

    def _vectors(self, order: Sequence[int], dummy: int) -> Tensor:
        """``[1, block, width]``, states of a dummy query after all other items of the order."""
        prompt = self._given.prompts[dummy]
        context = self.before([item for item in order if item != dummy], [prompt])
        return end_inputs(self.backbone, context, [prompt], after_blocks(self.backbone))

    def _of_others(self, others: Sequence[int]) -> Tensor | None:
        return self._vectors(others, others[-1])[0] if len(others) > 1 else None


PLUGIN = TaskVector
