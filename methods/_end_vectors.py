"""What methods share that put a vector in place of demonstrations: one vector, at the end of a query's prompt."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from bench.contracts import (
    Answers,
    Backbone,
    ForwardMethod,
    InputMode,
    Kind,
    LanguageBackbone,
    MethodConfig,
    ProblemShape,
    Query,
    Support,
    Tune,
    UsageError,
)
from methods._demonstrations import Demonstrations
from methods._prompt_ends import after_blocks, answers_with, changed_at


class EndVectorConfig(MethodConfig):
    """Hyper-parameters of all such methods."""

    strength: Annotated[float, Tune(0.0, 2.0)] = Field(
        default=1.0, ge=0, le=10, description="Factor of the vector; 0 leaves the model as it is."
    )
    demonstrations: int | None = Field(
        default=None, ge=1, description="Demonstrations in a prompt that the vector is taken from, at most."
    )


class EndVectorMethod(ForwardMethod):
    """Changes the state after one block at the last token of a query's prompt, by a vector from demonstrations.

    Queries are answered without demonstrations: the state is one vector. Where nothing was observed, the model answers
    as it is.

    Attributes:
        vector: ``[width]``.
        layer: Number of the block after which it is put.
    """

    Config: ClassVar[type[EndVectorConfig]] = EndVectorConfig
    config: EndVectorConfig
    kinds = frozenset({Kind.TEXT_CLASSIFICATION})
    needs_language_model = kinds
    needs_network = True
    reads = InputMode.INPUTS
    episodes_at_once = 1

    def __init__(self, config: EndVectorConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._given = Demonstrations(backbone, shape, type(self).__module__.rpartition(".")[2])
        self.layer: int | None = None
        self.register_buffer("vector", torch.zeros(0))

    backbone: LanguageBackbone
    vector: Tensor

    def observe(self, support: Support) -> None:
        """Keep the batch's prompts and labels until all are there."""
        self._given.add(support)

    def solve(self) -> None:
        """Take the vector from the demonstrations; see ``found``."""
        if self._given.texts:
            self._given.count_tokens()
            order = self._given.arranged(range(len(self._given.texts)), self.shape.generator())
            self.layer, self.vector = self.found(order)
            self.notes["layer"] = self.layer

    @abstractmethod
    def found(self, order: Sequence[int]) -> tuple[int, Tensor]:
        """The block and the vector.

        Args:
            order: The support items in a random order, in rounds of one of each class.

        Returns:
            Number of the block, and ``[width]``.
        """

    @abstractmethod
    def change(self, states: Tensor, vector: Tensor) -> Tensor:
        """States with the vector.

        Args:
            states: ``[row, width]``, at the end of prompts.
            vector: ``[width]``.

        Returns:
            ``[row, width]``.
        """

    def require_layer(self, layer: int) -> int:
        """The number of a block. Raises UsageError if the model has none of it."""
        if layer >= (count := len(self.backbone.blocks)):
            raise UsageError(f"layer must be one of the {count} blocks, 0 to {count - 1}, got {layer}; lower it")
        return layer

    def before(self, order: Sequence[int], prompts: Sequence[str]) -> str:
        """The instruction, and the last demonstrations of an order that fit before prompts, as a text."""
        wanted = self.config.demonstrations or len(order)
        shown = self._given.context(order[max(0, len(order) - wanted) :], prompts, 0)[0]
        return self.shape.protocol.instructed(shown)

    def scored(self, prompts: Sequence[str], names: Sequence[str], layer: int, vector: Tensor) -> Tensor:
        """``[prompt, way]``, log-likelihoods of the answers with a vector after a block."""
        module = after_blocks(self.backbone)[layer]
        return answers_with(
            self.backbone,
            [self.shape.protocol.instructed(prompt) for prompt in prompts],
            names,
            lambda last: changed_at(last, module, lambda states: self.change(states, vector)),
        )

    def predict(self, query: Query) -> Answers:
        """What the model answers with the vector; see Method.predict for the shapes."""
        if self.layer is None:
            return self.backbone.answer(query, self.shape.kind, self.shape.protocol)
        names, prompts = query.classes.names[0], query.inputs.episode(0)
        scores = query.prior.new_zeros(*query.mask.shape, len(names))
        if prompts:
            scores[query.mask] = self.scored(prompts, names, self.layer, self.vector).to(scores)
        return scores
