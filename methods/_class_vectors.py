"""Training of class vectors in the place of class embeddings; shared by ZS-LP, CLAP and TaskRes."""

import math
from abc import abstractmethod
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from bench.contracts import Backbone, Classes, EmbeddingUse, MethodConfig, ProblemShape, Query, Support, Tune
from methods._cosines import SCALE
from methods._held_out import Sample
from methods._moments import class_sums
from methods._training import FullSupportMethod, minibatch, summed_cross_entropy

LENGTH = 10.0
"""Length of class vectors in training, about that of CLIP's text features before they are scaled to length 1: the
published programs train those, and their rates and penalties are in proportion."""
FIRST_LR = 1e-5
"""Rate of the first epoch, in which the published programs warm up."""


class ClassVectorsConfig(MethodConfig):
    """Hyper-parameters of all three."""

    prior: Literal["mix", "none"] = Field(
        default="mix",
        description="mix: training starts at the class embeddings, that is at zero-shot answers, as published. none: "
        "at the class means of the keys.",
    )
    batch_size: int = Field(default=256, ge=1, description="Examples per episode and step.")


class ClassVectors(FullSupportMethod):
    """Scores of the frozen model with trained class vectors ``w_c`` in the place of the class embeddings ``t_c``.

    ``class_logits(prior)`` with ``|t_c| w_c / |w_c|`` for ``t_c``; with CLIP ``exp(scale) f . w_c / |w_c|``. Training
    starts at ``w_c = 10 t_c / |t_c|``. Items are read as they stand in the space of class embeddings, where zero-shot
    answers come from. Without class embeddings, or without a prior, w starts at class means of the keys and scores are
    ``100 key . w_c / |w_c|``. The last weights are used.

    Attributes:
        share: What trained numbers are multiplied by before they are added to the start.
    """

    config: ClassVectorsConfig
    share = 1.0

    def __init__(self, config: ClassVectorsConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._by_keys = config.prior == "none" or shape.value_dim == 0
        self._per_epoch = -(-shape.n_support // config.batch_size)
        self.steps = self.n_epochs() * self._per_epoch
        size = (shape.n_episodes, shape.n_way, shape.key_dim if self._by_keys else shape.value_dim)
        self.trained = nn.Parameter(torch.zeros(size))
        self.register_buffer("classifier", torch.zeros(size))

    classifier: Tensor
    """``[episode, way, dim]``, class vectors at the length of the class embeddings; all that predict reads."""

    @classmethod
    def embedding_use(cls, config: MethodConfig) -> EmbeddingUse:
        """Optional: training starts at class means without them; unused without a prior."""
        return EmbeddingUse.UNUSED if getattr(config, "prior", None) == "none" else EmbeddingUse.OPTIONAL

    @abstractmethod
    def n_epochs(self) -> int:
        """Passes over the support set."""

    @abstractmethod
    def make_optimizer(self) -> Optimizer:
        """The optimizer of ``trained``."""

    def penalty(self, step: int) -> Tensor:
        """What is added to the loss of a step, summed over episodes; nothing unless overridden."""
        return self.trained.new_zeros(())

    def state_bytes(self) -> int:
        """Bytes of the class vectors; start and what was trained are not needed to answer."""
        return self.classifier.nbytes

    def begin(self, support: Support) -> None:
        """Start at class embeddings, or at class means of the keys."""
        self._items = items = self.shuffled(support)
        if self._by_keys:
            sums = class_sums(items.keys.double(), items.labels, items.mask, self.shape.n_way).to(items.keys.dtype)
            # Any direction will do for a class without examples, but length 0 has no gradient.
            given, self._lengths = sums.where(sums.any(dim=-1, keepdim=True), 1.0), None
        else:
            given = support.classes.class_embeddings
            self._lengths = given.norm(dim=-1, keepdim=True)
        self.start = LENGTH * normalize(given, dim=-1)

    def step_loss(self, step: int, classes: Classes) -> Tensor:
        """Cross-entropy of a minibatch, and the penalty."""
        epoch, place = divmod(step, self._per_epoch)
        if self._per_epoch > 1 and place == 0:
            self._items = self._items.shuffled_by([self.shape.seed, epoch])
        batch = minibatch(self._items, place, self.config.batch_size)
        scores = self.scores(batch, self._vectors(), classes)
        return summed_cross_entropy(scores, batch.labels, batch.mask) + self.penalty(step)

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """The rate of an epoch falls to 0 along a cosine, after a first epoch at 1e-5, as in the published programs."""
        optimizer, n_epochs = self.make_optimizer(), self.n_epochs()
        first = FIRST_LR / optimizer.param_groups[0]["lr"]

        def factor(step: int) -> float:
            epoch = step // self._per_epoch
            return (1 + math.cos(math.pi * (epoch - 1) / n_epochs)) / 2 if epoch else first

        return optimizer, LambdaLR(optimizer, factor)

    def finish(self) -> None:
        """Keep the class vectors."""
        self.classifier = self._vectors().detach().clone()

    def predict(self, query: Query) -> Tensor:
        """Scores ``[episode, item, way]``."""
        return self.scores(query, self.classifier, query.classes)

    def scores(self, items: Sample | Query, vectors: Tensor, classes: Classes) -> Tensor:
        """Scores by class vectors.

        Args:
            items: The items.
            vectors: ``[episode, way, dim]``, of any length in training, at that of class embeddings afterwards.
            classes: The classes.

        Returns:
            ``[episode, item, way]``.
        """
        if self._by_keys:
            return SCALE * items.keys @ vectors.mT
        return self.backbone.class_logits(items.prior, Classes(vectors, classes.names))

    def _vectors(self) -> Tensor:
        unit = normalize(self.start + self.share * self.trained, dim=-1)
        return unit if self._lengths is None else self._lengths * unit


class ProbeConfig(ClassVectorsConfig):
    """Hyper-parameters of ZS-LP and CLAP; the defaults are published, for all data sets and shots."""

    epochs: int = Field(default=300, ge=1, le=100_000, description="Passes over the support set.")
    lr: Annotated[float, Tune(1e-3, 1.0, log=True)] = Field(
        default=0.1, gt=0, le=10, description="SGD's rate with momentum 0.9; it falls to 0 along a cosine."
    )


class Probe(ClassVectors):
    """Class vectors trained by SGD."""

    Config = ProbeConfig
    config: ProbeConfig
    source = "Silva-Rodriguez et al. 2024, A Closer Look at the Few-Shot Adaptation of Large VLMs, arXiv 2312.12730"

    def n_epochs(self) -> int:
        """Passes over the support set."""
        return self.config.epochs

    def make_optimizer(self) -> Optimizer:
        """SGD with momentum."""
        return SGD([self.trained], lr=self.config.lr, momentum=0.9)
