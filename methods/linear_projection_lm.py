"""FAAST's linear baseline inside a language model: trained linear maps where its memories would stand."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.contracts import Answers, Backbone, LanguageBackbone, ProblemShape, Query, Support, Tune, UsageError
from bench.toolkit.hooks import input_hooks, memory_layers
from methods._training_lm import LMFineTune, TrainingConfig


class ProjectionLmConfig(TrainingConfig):
    """Hyper-parameters of the linear projection."""

    lr: Annotated[float, Tune(1e-6, 1e-3, log=True)] = Field(
        default=2e-5,
        gt=0,
        le=1,
        description="AdamW's rate, falling to 0 along a cosine; 2e-5 is published for readouts, maps of its shape.",
    )
    middle: int = Field(
        default=2, ge=0, le=64, description="Maps before blocks; there is always one before the final norm."
    )


class LinearProjectionLm(LMFineTune):
    """``h + P h`` before the blocks where FAAST's middle memories stand, and before the final norm.

    Each P is ``[d, d]`` and starts at 0, so that training starts at the model as it is; LMFineTune has the loss.
    """

    Config = ProjectionLmConfig
    config: ProjectionLmConfig
    source = "Bao et al., FAAST, arXiv 2605.04651 (linear projection, the baseline trained by backpropagation)"

    def __init__(self, config: ProjectionLmConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        if not isinstance(backbone, LanguageBackbone):
            raise UsageError(f"linear_projection_lm needs a language model, got {type(backbone).__name__}")
        blocks = list(backbone.blocks)
        self._places = [*(blocks[site] for site in memory_layers(len(blocks), config.middle)), backbone.final_norm]
        size = (backbone.width, backbone.width)
        self.projections = nn.ParameterList([nn.Parameter(torch.zeros(size)) for _ in self._places])

    backbone: LanguageBackbone

    @property
    def reader(self) -> LanguageBackbone:
        """The backbone itself: maps are input_hooks in only while they are needed, so it needs no copy."""
        return self.backbone

    @contextmanager
    def hooks_active(self) -> Iterator[None]:
        """While this lasts, everything that the backbone runs goes through the maps."""

        def added(projection: Tensor) -> Any:
            def change(states: Tensor) -> Tensor:
                return states + (states.float() @ projection.mT).to(states.dtype)

            return change

        with input_hooks([(place, added(each)) for place, each in zip(self._places, self.projections, strict=True)]):
            yield

    def batch_loss(self, support: Support) -> Tensor:
        """The loss with the maps in place."""
        with self.hooks_active():
            return super().batch_loss(support)

    def predict(self, query: Query) -> Answers:
        """What the model answers with the maps in place; see Method.predict for the shapes."""
        with self.hooks_active():
            return super().predict(query)


PLUGIN = LinearProjectionLm
