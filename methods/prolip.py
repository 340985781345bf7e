"""ProLIP: the last projection of CLIP's image tower, trained on features before it and held to what it was."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from bench.contracts import (
    Backbone,
    Classes,
    GradientMethod,
    InputMode,
    Inputs,
    Kind,
    MethodConfig,
    ProblemShape,
    Query,
    Support,
    Tune,
    TwoTowerBackbone,
    UsageError,
)
from methods._image_scores import parts


class ProlipConfig(MethodConfig):
    """Hyper-parameters of ProLIP; the defaults are published, for use without a validation set."""

    penalty: Annotated[float | None, Tune(1e-4, 10.0, log=True)] = Field(
        default=None,
        ge=0,
        le=1e9,
        description="Weight of the squared distance from the pretrained projection; by default 1 / shots.",
    )
    lr: Annotated[float, Tune(1e-6, 1e-2, log=True)] = Field(
        default=1e-5, gt=0, le=1, description="Adam's rate; it falls to 0 along a cosine."
    )
    steps: int = Field(default=300, ge=1, le=100_000, description="Steps on the whole support set.")


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
    Config = ProlipConfig
    config: ProlipConfig
    source = "Fahes et al. 2024, CLIP's Visual Embedding Projector is a Few-shot Cornucopia (ProLIP), arXiv 2410.05270"

    def __init__(self, config: ProlipConfig, backbone: Backbone, shape: ProblemShape) -> None:
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

    backbone: TwoTowerBackbone
    start: Tensor
    bias: Tensor | None

    def loss(self, support: Support) -> Tensor:
        """Mean cross-entropy of all images, and the penalty."""
        if self._features is None:
            with torch.no_grad():
                self._features = self._unprojected(support.inputs)
        shots = max(1.0, float(support.mask.sum()) / self.shape.n_way)
        penalty = 1 / shots if self.config.penalty is None else self.config.penalty
        self.notes["penalty"] = penalty
        scores = self._scores(self._features, support.classes)
        distance: Tensor = (self.projection - self.start).square().sum()
        return cross_entropy(scores, support.labels[support.mask]) + penalty * distance

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """Adam with the published eps, on a cosine."""
        # A trainer of lower precision has cast the whole method by now.
        self.float()
        optimizer = Adam([self.projection], lr=self.config.lr, eps=1e-4)
        return optimizer, CosineAnnealingLR(optimizer, T_max=self.steps)

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
