"""ProLIP: the last projection of CLIP's image tower, trained on features before it and held to what it was."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bench.contracts import (
    Backbone,
    Classes,
    GradientMethod,
    InputMode,
    Inputs,
    Kind,
    ProblemShape,
    Query,
    Support,
    TwoTowerBackbone,
    UsageError,
)
from methods._image_scores import parts
from methods._prolip import SOURCE, HeldMapConfig


class Prolip(GradientMethod):
    """``class_logits(a P + b)`` with P by cross-entropy plus ``penalty |P - P0|_F^2``, from the pretrained P0 on.

    ``a`` is what the image tower has before its last projection, and ``b`` that projection's bias where it has one; it
    stays. The images are encoded once, where the authors take several augmented views of each. ``projector`` is the
    same authors' map of features after the projection, which any encoder has.
    """

    kinds = frozenset({Kind.IMAGE_CLASSIFICATION})
    reads = InputMode.INPUTS
    needs_text_tower = True
    episodes_at_once = 1
    batch_size: int | None = None
    Config = HeldMapConfig
    config: HeldMapConfig
    source = SOURCE

    def __init__(self, config: HeldMapConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        if not isinstance(backbone, TwoTowerBackbone):
            raise UsageError(
                f"prolip needs a backbone with an image and a text tower, such as open_clip:MODEL/TAG, got "
                f"{type(backbone).__name__}; projector maps features of any backbone"
            )
        self.steps = config.steps
        start, bias = backbone.projection()
        self.projection = nn.Parameter(start.float().clone())
        self.register_buffer("start", start.float().clone(), persistent=False)
        self.register_buffer("bias", None if bias is None else bias.float().clone(), persistent=False)
        self._features: Tensor | None = None
        self._penalty = 0.0

    backbone: TwoTowerBackbone
    start: Tensor
    bias: Tensor | None

    def loss(self, support: Support) -> Tensor:
        """Mean cross-entropy of all images, and the penalty."""
        if self._features is None:
            with torch.no_grad():
                self._features = self._unprojected(support.inputs)
            # On the CPU: not all devices have float64.
            self._penalty = float(self.config.weight(support.mask.sum(dim=1).cpu().double(), self.shape.n_way))
            self.notes["penalty"] = self._penalty
        scores = self._scores(self._features, support.classes)
        distance: Tensor = (self.projection - self.start).square().sum()
        return cross_entropy(scores, support.labels[support.mask]) + self._penalty * distance

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """Adam with the published eps, on a cosine."""
        # A trainer of lower precision has cast the whole method by now.
        self.float()
        return self.config.optimizer([self.projection])

    def predict(self, query: Query) -> Tensor:
        """Scores ``[1, item, way]``, 0 where an item is padding."""
        scores = query.prior.new_zeros(*query.mask.shape, query.classes.n_way)
        if bool(query.mask.any()):
            scores[query.mask] = self._scores(self._unprojected(query.inputs), query.classes).to(scores)
        return scores

    def state_bytes(self) -> int:
        """Bytes of the projection."""
        return self.projection.nbytes

    def _unprojected(self, inputs: Inputs) -> Tensor:
        """``[item, dim]`` before the projection, of the items that are no padding."""
        found = []
        for part in parts(inputs):
            prepared = [self.backbone.prepare(raw) for raw in part.episode(0)]
            found.append(self.backbone.unprojected(self.backbone.collate(prepared)).float())
        return torch.cat(found)

    def _scores(self, features: Tensor, classes: Classes) -> Tensor:
        """``[item, way]``."""
        projected = features @ self.projection
        if self.bias is not None:
            projected = projected + self.bias
        return self.backbone.class_logits(normalize(projected, dim=-1).unsqueeze(0), classes).squeeze(0)


PLUGIN = Prolip
