"""Training of the convolutions and P of in-place test-time training with a frozen backbone (arXiv 2604.06169).

Each window is a text of its own: fast weights begin at the model's and change after each chunk, and the loss is the
cross-entropy of its next tokens. The gradient is that of the states, through all chunks. The authors train the whole
model; this is their small recipe, in which the rest stays as it is.
"""

from dataclasses import dataclass

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from bench.contracts import LanguageBackbone, UsageError
from bench.readouts.corpus import stream
from bench.readouts.frozen import FrozenTraining, TrainingRecipe
from bench.toolkit.hooks import output_layer
from bench.toolkit.in_place import EVERY, InPlaceLayers, Target
from bench.toolkit.in_place_chunks import KERNEL, InPlaceParts

SPREAD = 0.02
"""Standard deviation of P's diagonal at the start, as published."""


@dataclass(frozen=True)
class InPlaceRecipe(TrainingRecipe):
    """Hyper-parameters of a training; the rate of the fast weights rises from 0, without which they diverge.

    Attributes:
        chunk: Tokens of a chunk.
        memory_rate: Rate of the fast weights.
        ramp: Steps in which it rises from 0.
        target: What values are made of.
    """

    chunk: int = 64
    memory_rate: float = 0.3
    ramp: int = 200
    target: Target = "hidden"


class InPlaceTraining(FrozenTraining):
    """Lightning module that trains convolution and P of every sixth block.

    Attributes:
        recipe: Hyper-parameters, with the final number of steps.
        blocks: Numbers of the blocks.
        convs: ``[d, 1, 5]`` per block, zeros at first, with which the model is the backbone alone.
        projs: ``[d, d]`` per block, diagonal at first.
    """

    recipe: InPlaceRecipe

    def __init__(
        self, backbone: LanguageBackbone, recipe: InPlaceRecipe, identity: dict[str, str | int | float] | None = None
    ) -> None:
        """Make the first convolutions and P.

        Args:
            backbone: The frozen language model.
            recipe: Hyper-parameters, with the final number of steps.
            identity: Facts saved with each checkpoint, to be compared before it is resumed.

        Raises:
            UsageError: If a window is one chunk, or the model has other feed-forward parts.
        """
        super().__init__(backbone, recipe, identity)
        if recipe.window <= recipe.chunk:
            raise UsageError(
                f"--window must be longer than a chunk of {recipe.chunk} tokens, got {recipe.window}; fast weights "
                "change after a chunk"
            )
        width = backbone.width
        self.blocks = list(range(0, len(backbone.blocks), EVERY))
        self.convs = nn.ParameterList([nn.Parameter(torch.zeros(width, 1, KERNEL)) for _ in self.blocks])
        draws = [torch.randn(width, generator=stream("proj", recipe.seed, number)) for number in self.blocks]
        self.projs = nn.ParameterList([nn.Parameter(torch.diag(SPREAD * each)) for each in draws])
        parts = [InPlaceParts(*pair) for pair in zip(self.convs, self.projs, strict=True)]
        self._layers = InPlaceLayers(
            backbone, self.blocks, parts, [0.0] * len(self.blocks), chunk=recipe.chunk, target=recipe.target
        )

    @property
    def parts(self) -> dict[int, InPlaceParts]:
        """The present convolutions and P by the number of their block."""
        pairs = zip(self.convs, self.projs, strict=True)
        return {number: InPlaceParts(*pair) for number, pair in zip(self.blocks, pairs, strict=True)}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW without weight decay; linear warm-up, then cosine decay to 0."""
        return self.scheduled([*self.convs, *self.projs])

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip the gradient's norm to 1.

        Args:
            optimizer: The optimizer.
            gradient_clip_val: Not used.
            gradient_clip_algorithm: Not used.
        """
        self.clip_gradients(optimizer, gradient_clip_val=1.0, gradient_clip_algorithm="norm")

    def training_step(self, batch: Tensor, batch_idx: int = 0) -> Tensor:
        """Loss of the next tokens of a batch.

        Args:
            batch: ``[window, position]``, token ids.
            batch_idx: Unused number of the batch.

        Returns:
            Scalar cross-entropy in nats per token.

        Raises:
            NumericalError: If the loss is not finite.
        """
        recipe = self.recipe
        rate = recipe.memory_rate * min(1.0, (self.global_step + 1) / max(1, recipe.ramp))
        self._layers.rates = [rate] * len(self.blocks)
        head = output_layer(self.backbone)
        with self._layers.active():
            hidden = self.backbone.decoder(input_ids=batch, use_cache=False).last_hidden_state
        loss = cross_entropy(head(hidden[:, :-1]).flatten(0, 1).float(), batch[:, 1:].flatten())
        self.keep_loss(loss)
        return loss
