"""LoRA: low-rank updates of an image tower's or a language model's weights, trained through the whole network."""

from typing import Annotated, Any, ClassVar

from peft import LoraConfig as Updates
from peft import inject_adapter_in_model
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.contracts import (
    LANGUAGE,
    Answers,
    Backbone,
    Kind,
    LanguageBackbone,
    ProblemShape,
    Query,
    Support,
    Tune,
)
from methods._adapted import with_lora
from methods._image_scores import answered, image_scores
from methods._peft_lm import PeftMethod
from methods._training_lm import TrainingConfig

IMAGES_AT_ONCE = 32
"""Images of a step unless the config says otherwise."""


class LoraConfig(TrainingConfig):
    """Hyper-parameters of LoRA; rank and alpha are peft's defaults."""

    rank: Annotated[int, Tune(1, 64, log=True)] = Field(default=8, ge=1, le=1024, description="Rank of an update.")
    alpha: Annotated[int, Tune(1, 128, log=True)] = Field(
        default=8, ge=1, le=4096, description="An update is multiplied by alpha / rank."
    )
    lr: Annotated[float, Tune(1e-5, 1e-2, log=True)] = Field(
        default=2e-4, gt=0, le=1, description="AdamW's initial rate; it falls to 0 along a cosine."
    )
    dropout: Annotated[float, Tune(0.0, 0.5)] = Field(
        default=0.0, ge=0, lt=1, description="Share of an update's inputs that are dropped."
    )


class Lora(PeftMethod):
    """Updates stand in a copy, so that the backbone stays as it is, and start as no change at all.

    In a language model they stand where peft puts them in its family, such as on query and value projections; in a
    family that peft does not know, on all linear layers. LMFineTune says what is learnt there; the paper's rate for
    GPT-2 is 2e-4.

    On images the loss is the cross-entropy of ``class_logits(prior)`` with the prior encoded by the adapted network, as
    CLIP itself answers. Adapters stand on attention's projections; in networks without attention on pointwise
    convolutions. Class values are not trained. The rate and batch size are those of CLIP-LoRA (arXiv 2405.18541),
    which takes 500 steps per shot.
    """

    kinds = LANGUAGE | {Kind.IMAGE_CLASSIFICATION}
    sized_by = "rank"
    Config: ClassVar[type[LoraConfig]] = LoraConfig
    config: LoraConfig
    source = "Hu et al. 2022, LoRA: Low-Rank Adaptation of Large Language Models, arXiv 2106.09685"

    def __init__(self, config: LoraConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        if self._sees_images:
            self.batch_size = config.batch_size or IMAGES_AT_ONCE

    @property
    def _sees_images(self) -> bool:
        return self.shape.kind is Kind.IMAGE_CLASSIFICATION

    def adapt(self, backbone: Backbone) -> Backbone:
        """A copy of the backbone with updates in it. Raises UsageError if there is nothing that they can stand in."""
        if not self._sees_images:
            return super().adapt(backbone)
        config = self.config
        return with_lora(backbone, rank=config.rank, alpha=config.alpha, dropout=config.dropout, seed=self.shape.seed)

    def insert(self, adapted: LanguageBackbone) -> None:
        """Put updates into a copied language model."""
        network: Any = adapted.causal_lm
        known = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.get(network.config.model_type)
        config = self.config
        updates = Updates(
            r=config.rank,
            lora_alpha=config.alpha,
            lora_dropout=config.dropout,
            target_modules=list(known) if known else "all-linear",
        )
        inject_adapter_in_model(updates, network)
        self.notes["adapted"] = ", ".join(known or ["all linear layers"])

    def batch_loss(self, support: Support) -> Tensor:
        """Mean cross-entropy of the batch's examples."""
        if not self._sees_images:
            return super().batch_loss(support)
        scores = image_scores(self.adapted, support.inputs, support.classes)
        return cross_entropy(scores, support.labels[support.mask])

    def predict(self, query: Query) -> Answers:
        """What the adapted model answers; of images scores ``[1, item, way]``, 0 where an item is padding."""
        if not self._sees_images:
            return super().predict(query)
        self.adapted.eval()
        return answered(query, lambda part: image_scores(self.adapted, part, query.classes))


PLUGIN = Lora
