"""FAAST's linear baseline: a trained linear map of the key, fitted by gradient descent."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR

from bench.contracts import (
    Answers,
    Backbone,
    Classes,
    LanguageBackbone,
    MethodConfig,
    MultiSiteMethod,
    ProblemShape,
    Query,
    Support,
    Tune,
    UsageError,
)
from bench.toolkit.hooks import input_hooks, memory_layers
from methods._held_out import Sample
from methods._minibatches import StreamedMethod
from methods._training import minibatch, summed_cross_entropy
from methods._training_lm import LMFineTune, TrainingConfig

SOURCE = "Bao et al., FAAST, arXiv 2605.04651 (linear projection, the baseline trained by backpropagation)"


class ProjectionOnFeaturesConfig(MethodConfig):
    """Hyper-parameters of the linear projection on features; the defaults are published."""

    epochs: int = Field(default=20, ge=1, le=10_000, description="Passes over the support set.")
    lr: Annotated[float, Tune(1e-4, 1.0, log=True)] = Field(
        default=1e-3, gt=0, le=10, description="SGD's rate; a tenth of it from half of the epochs on."
    )
    momentum: Annotated[float, Tune(0.0, 0.99)] = Field(default=0.9, ge=0, lt=1, description="SGD's momentum.")
    batch_size: int = Field(default=16, ge=1, description="Examples per episode and step.")
    patience: int | None = Field(
        default=5,
        ge=1,
        description="An episode stops when its validation accuracy has not risen for that many epochs; null: never.",
    )
    validation_parts: int = Field(
        default=8,
        ge=2,
        le=100,
        description="Inverse of the share of each class that is held out for validation, one example at least; "
        "5 is published for full support sets.",
    )
    reshuffle: bool = Field(
        default=False, description="Shuffle the examples anew for each epoch, as published; otherwise once."
    )
    decay_to_identity: float = Field(
        default=0.0,
        ge=0,
        le=1e3,
        description="Weight of the squared distance of x + P x from x, |P|^2, in the loss; 1 / shots is ProLIP's.",
    )


class ProjectionOnFeatures(StreamedMethod):
    """``y = prior + P key``, read out to scores; P starts at 0, so that training starts at zero-shot.

    Where key and prior are the same vector, as with CLIP, this is the published ``x + P x``. Each episode keeps the
    P of its own best epoch, by accuracy on an eighth of each class that it does not train on (the first of equals).
    Published for full support sets: a fifth, and no early stopping; the preset ``published`` says so.
    With one example per class there is none to hold out: such an episode trains on all and keeps the last P, where
    the published baseline validated on its only examples and trained on none. ``notes`` says which it was.

    Losses are summed over episodes, so that each is trained as if it were alone; an episode that has stopped early
    keeps computing until the others are done, without effect. ``decay_to_identity`` holds the map to the identity, as
    ``projector`` does by another optimizer and without validation (Fahes et al. 2024, arXiv 2410.05270).

    From 100,000 examples on they stream by in epochs that are shuffled anew. One in eight is held out by a number drawn
    for it, and P is validated on 4,096 of these at most, or 32 of each class.
    """

    episodes_at_once = 16
    Config = ProjectionOnFeaturesConfig
    config: ProjectionOnFeaturesConfig
    source = SOURCE

    def __init__(self, config: ProjectionOnFeaturesConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        shots = shape.n_support // shape.n_way
        held_out = shape.n_way * max(1, shots // config.validation_parts) if shots > 1 else 0
        self._per_epoch = -(-(shape.n_support - held_out) // config.batch_size)
        if self.streams:
            # With room for those that are held out.
            self.batch_size = round(config.batch_size * config.validation_parts / (config.validation_parts - 1))
            self._per_epoch = max(1, shape.n_support // self.batch_size)
        self.steps = config.epochs * self._per_epoch
        self.validate_every = self._per_epoch
        size = (shape.n_episodes, shape.value_dim, shape.key_dim)
        self.projection = nn.Parameter(torch.zeros(size))
        self.register_buffer("best", torch.zeros(size))

    best: Tensor
    """``[episode, dim_v, dim_k]``, P of the epoch that was best for each episode; what predict reads."""

    def state_bytes(self) -> int:
        """Bytes of the best P; the P in training is not needed to answer."""
        return self.best.nbytes

    def begin(self, support: Support) -> None:
        """Hold out what can be, and note it."""
        items = self.shuffled(support)
        counts = [(items.mask & (items.labels == label)).sum(dim=1) for label in range(self.shape.n_way)]
        held = items.held_out(torch.stack(counts, dim=1), self.config.validation_parts, most=items.mask.shape[1])
        self._training, self._validation = items.where(~held), items.where(held)
        self._classes = support.classes
        # Steps were planned for classes of equal size; where they are not, batches make up for it.
        self._size = max(self.config.batch_size, -(-self._training.mask.shape[1] // self._per_epoch))
        self._start(items)
        share = f"max(1, n // {self.config.validation_parts}) examples of each class"
        self.notes["validation"] = share if bool(held.any()) else "none: one example per class"

    def _start(self, items: Sample) -> None:
        self._epoch = 0
        self._best_epoch = items.labels.new_zeros(len(items.labels))
        self._accuracy = items.keys.new_full((len(items.labels),), -1.0)
        self._stopped = torch.zeros_like(items.mask[:, 0])

    def begin_stream(self, items: Sample, classes: Classes) -> None:
        """Note what is held out."""
        self._start(items)
        self._classes = classes
        self.notes["validation"] = f"1 example in {self.config.validation_parts}, of which the method keeps a sample"

    def streamed_loss(self, step: int, items: Sample, classes: Classes) -> Tensor:
        """Cross-entropy of a minibatch without the examples that are held out."""
        with torch.no_grad():
            batch = self.without_held_out(items, self.config.validation_parts, keep=step < self._per_epoch)
        return summed_cross_entropy(self._scores(batch, self.projection, classes), batch.labels, batch.mask)

    def step_loss(self, step: int, classes: Classes) -> Tensor:
        """Cross-entropy of a minibatch."""
        epoch, place = divmod(step, self._per_epoch)
        if self.config.reshuffle and place == 0:
            self._training = self._training.shuffled_by([self.shape.seed, epoch])
        batch = minibatch(self._training, place, self._size)
        scores = self._scores(batch, self.projection, classes)
        return summed_cross_entropy(scores, batch.labels, batch.mask)

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """SGD; its rate falls once. The gradient of the distance from the identity is twice P."""
        decay = 2 * self.config.decay_to_identity
        optimizer = SGD(self.parameters(), lr=self.config.lr, momentum=self.config.momentum, weight_decay=decay)
        half = self.config.epochs // 2 * self._per_epoch
        return optimizer, MultiStepLR(optimizer, milestones=[half], gamma=0.1)

    def predict(self, query: Query) -> Tensor:
        """Scores ``[episode, item, way]``."""
        return self._scores(query, self.best, query.classes)

    def _scores(self, items: Sample | Query, projection: Tensor, classes: Classes) -> Tensor:
        return self.backbone.class_logits(items.prior + items.keys @ projection.mT, classes)

    def validate(self) -> None:
        """Keep P where it is the best so far; called after each epoch."""
        self._epoch += 1
        held = self.held.lowest() if self.streams else self._validation
        right = (self._scores(held, self.projection, self._classes).argmax(dim=-1) == held.labels) & held.mask
        accuracy = right.sum(dim=1) / held.mask.sum(dim=1).clamp(min=1)
        better = (accuracy > self._accuracy) & ~self._stopped
        self._accuracy = accuracy.where(better, self._accuracy)
        self._best_epoch = self._best_epoch.masked_fill(better, self._epoch)
        if self.config.patience is not None:
            self._stopped |= self._epoch - self._best_epoch >= self.config.patience
        keep = better | ~held.mask.any(dim=1)
        self.best = self.projection.where(keep.view(-1, 1, 1), self.best)


class ProjectionOnHiddenStatesConfig(TrainingConfig):
    """Hyper-parameters of the linear projection on hidden states."""

    lr: Annotated[float, Tune(1e-6, 1e-3, log=True)] = Field(
        default=2e-5,
        gt=0,
        le=1,
        description="AdamW's rate, falling to 0 along a cosine; 2e-5 is published for readouts, maps of its shape.",
    )
    middle: int = Field(
        default=2, ge=0, le=64, description="Maps before blocks; there is always one before the final norm."
    )


class ProjectionOnHiddenStates(LMFineTune):
    """``h + P h`` before the blocks where FAAST's middle memories stand, and before the final norm.

    Each P is ``[d, d]`` and starts at 0, so that training starts at the model as it is; LMFineTune has the loss.
    """

    Config = ProjectionOnHiddenStatesConfig
    config: ProjectionOnHiddenStatesConfig
    source = SOURCE

    def __init__(self, config: ProjectionOnHiddenStatesConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        if not isinstance(backbone, LanguageBackbone):
            raise UsageError(f"site=hidden_states needs a language model, got {type(backbone).__name__}")
        blocks = list(backbone.blocks)
        self.places = [*(blocks[layer] for layer in memory_layers(len(blocks), config.middle)), backbone.final_norm]
        size = (backbone.width, backbone.width)
        self.projections = nn.ParameterList([nn.Parameter(torch.zeros(size)) for _ in self.places])

    backbone: LanguageBackbone

    @property
    def reader(self) -> LanguageBackbone:
        """The backbone itself: maps are hooked in only while they are needed, so it needs no copy."""
        return self.backbone

    @contextmanager
    def hooks_active(self) -> Iterator[None]:
        """A context in which every forward pass of the backbone goes through the maps."""

        def added(projection: Tensor) -> Any:
            def change(states: Tensor) -> Tensor:
                return states + (states.float() @ projection.mT).to(states.dtype)

            return change

        with input_hooks([(place, added(each)) for place, each in zip(self.places, self.projections, strict=True)]):
            yield

    def batch_loss(self, support: Support) -> Tensor:
        """The loss with the maps in place."""
        with self.hooks_active():
            return super().batch_loss(support)

    def predict(self, query: Query) -> Answers:
        """Answers of the model with its maps; see Method.predict for the shapes."""
        with self.hooks_active():
            return super().predict(query)


class LinearProjection(MultiSiteMethod):
    """``x + P x`` with a trained P, where FAAST computes its map in closed form."""

    features = ProjectionOnFeatures
    hidden_states = ProjectionOnHiddenStates


PLUGIN = LinearProjection
