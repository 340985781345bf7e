"""EncoderBackbone: the interface of a frozen encoder without a text encoder for class names."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import normalize

from bench.contracts.backbone import Backbone, Features
from bench.contracts.data import Classes
from bench.contracts.errors import NoClassEmbeddingsError

SCALE = 100.0
"""What cosines of class scores are multiplied by, as in CLIP."""


class EncoderBackbone(Backbone):
    """A frozen encoder with features alone: no class embeddings, and so no zero-shot prior.

    Methods that are made of class embeddings are skipped on it. Memories store one-hot labels in their place, and
    others leave the prior out; see ``EmbeddingUse``.
    """

    has_prior: ClassVar[bool] = False
    prior_strength = 0.0

    def class_embeddings(self, names: Sequence[str], prompts: Sequence[str]) -> Tensor:
        """Refusal: there are none.

        Args:
            names: Class names.
            prompts: Prompts of the task.

        Raises:
            NoClassEmbeddingsError: Always.
        """
        raise NoClassEmbeddingsError("no prior: the backbone has no text encoder for class names")

    def class_logits(self, answer: Tensor, classes: Classes) -> Tensor:
        """Cosine of answer and class value times 100, as in CLIP.

        Args:
            answer: ``[episode, item, way]``, a mixture of one-hot labels.
            classes: The classes of each episode, with one-hot labels as their values.

        Returns:
            ``[episode, item, way]`` logits.
        """
        scores: Tensor = SCALE * normalize(answer, dim=-1) @ normalize(classes.class_embeddings, dim=-1).mT
        return scores


def features_of(pooled: Tensor) -> Features:
    """Features of an encoder without a prior.

    Args:
        pooled: ``[item, dim_k]``, of any length and type.

    Returns:
        Keys of unit length in float32, and priors of width 0.
    """
    keys = normalize(pooled.float(), dim=-1)
    return Features(keys, keys[:, :0])
