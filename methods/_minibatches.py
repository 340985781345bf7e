"""Support sets of very many items, of which a method trained on features sees a minibatch at each step."""

from abc import abstractmethod
from dataclasses import replace

import torch
from torch import Tensor

from bench.contracts import Backbone, Classes, MethodConfig, ProblemShape, Support
from methods._held_out import Sample, StreamedSample
from methods._training import FullSupportMethod

MANY = 100_000
"""Examples of an episode from which on they stream by in shuffled epochs, so that memory does not grow with them."""


class StreamedMethod(FullSupportMethod):
    """Looks at the whole support set once; one of ``MANY`` examples or more streams by in minibatches instead.

    Attributes:
        streams: Whether it does.
        held: Examples held out of the stream, as far as they were seen: ``StreamedSample.lowest`` of them is as large
            as that of a method that streams everything.
    """

    def __init__(self, config: MethodConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self.streams = shape.n_support >= MANY
        self.held = StreamedSample(shape.n_way)

    def loss(self, support: Support) -> Tensor:
        """The loss of this step, summed over episodes."""
        if not self.streams:
            return super().loss(support)
        step, self._step = self._step, self._step + 1
        with torch.no_grad():
            items = Sample.of(support, self.shape.seed)
            if step == 0:
                self.begin_stream(items, support.classes)
        return self.streamed_loss(step, items, support.classes)

    @abstractmethod
    def begin_stream(self, items: Sample, classes: Classes) -> None:
        """Start from the first minibatch, without gradients."""

    @abstractmethod
    def streamed_loss(self, step: int, items: Sample, classes: Classes) -> Tensor:
        """The loss of a step on its minibatch, counted from 0."""

    def without_held_out(self, items: Sample, parts: int, keep: bool) -> Sample:
        """A minibatch without one in ``parts`` of its examples, the same ones in every epoch.

        Args:
            items: The minibatch.
            parts: Inverse of the share that is held out.
            keep: Whether to keep those in ``held``, as in the first epoch.

        Returns:
            The minibatch with a mask that leaves them out.
        """
        chosen = items.mask & (items.draw % parts == 0)
        if keep:
            self.held.add(items.where(chosen))
        return replace(items, mask=items.mask & ~chosen)
