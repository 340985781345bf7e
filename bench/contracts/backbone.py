"""Backbone: the interface of a frozen pretrained model."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from bench.contracts.data import Classes
from bench.contracts.kinds import Kind


@dataclass(frozen=True)
class Features:
    """Keys and priors of a batch of items.

    Attributes:
        keys: ``[item, dim_k]``, L2-normalised.
        prior: ``[item, dim_v]``, in the space of the class embeddings; of width 0 on a backbone without any.
    """

    keys: Tensor
    prior: Tensor


class Backbone(nn.Module, ABC):
    """A frozen encoder or language model.

    The harness calls ``prepare`` in data workers, ``encode`` on the device, and caches the result under
    ``fingerprint``; two backbones with equal fingerprints must return equal features.

    Attributes:
        kinds: Kinds of task with inputs that the backbone reads.
        version: Part of a record's identity; change it where values change and the code does not, as with a compiled
            library.
        prior_strength: N0, the number of labelled examples that the prior counts for, unless a task or config sets it.
        revision: Commit of weights from the hub, for a record's provenance; empty for others.
        citation: The paper, where weights come from, their licence and size.
        has_prior: Whether the backbone has a text encoder, and so class embeddings and a zero-shot prior; one without
            is an ``EncoderBackbone``.
    """

    kinds: ClassVar[frozenset[Kind]]
    version: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    has_prior: ClassVar[bool] = True
    revision: str = ""

    prior_strength: float

    def require_runnable(self) -> None:
        """Require, by small passes, that the model runs in all ways that the harness runs it; by default nothing.

        Called by the program that loads the model, and once it has passed not again for the same fingerprint, code and
        versions of libraries. A process whose forks measure loads it without this call, because libraries may start
        threads or an accelerator's driver in a pass, and neither survives a fork.

        Raises:
            UsageError: If it does not; the message names the model and the way.
        """
        return

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of the weights and of everything else that changes features (transform, pooling)."""

    @abstractmethod
    def prepare(self, raw: Any) -> Any:
        """Preprocess one raw input for ``collate``, on the CPU.

        Args:
            raw: A PIL image or a prompt.

        Returns:
            The input in a form of the backbone's own.

        Raises:
            DataError: If the input is unreadable.
        """

    @abstractmethod
    def collate(self, prepared: Sequence[Any]) -> Any:
        """Stack preprocessed inputs to one batch, on the CPU.

        Args:
            prepared: Results of ``prepare``.

        Returns:
            The batch for ``encode``.
        """

    @abstractmethod
    def encode(self, batch: Any) -> Features:
        """Keys and priors of one batch, on the device of the weights, in float32.

        Args:
            batch: Result of ``collate``.

        Returns:
            The features of its items.
        """

    @abstractmethod
    def class_embeddings(self, names: Sequence[str], prompts: Sequence[str]) -> Tensor:
        """Embedding of each class.

        Args:
            names: Class names, or the answers of a text task.
            prompts: Prompts of the task, each with ``{label}`` in it; several form an ensemble.

        Returns:
            ``[class, dim_v]``.

        Raises:
            NoClassEmbeddingsError: If names have no embeddings, as answers that a language model cannot tell apart so.
            UsageError: If the backbone cannot read them at all.
        """

    def class_embeddings_note(self, names: Sequence[str], prompts: Sequence[str]) -> str | None:
        """What class embeddings stand for where they are not those of whole names; records have it as a note.

        Args:
            names: Class names, or the answers of a text task.
            prompts: Prompts of the task.

        Returns:
            A short text, or None.
        """
        return None

    @abstractmethod
    def class_logits(self, answer: Tensor, classes: Classes) -> Tensor:
        """Class scores of vectors in the space of the class embeddings.

        Args:
            answer: ``[episode, item, dim_v]``.
            classes: The classes of each episode.

        Returns:
            ``[episode, item, way]`` logits.
        """


class TwoTowerBackbone(Backbone):
    """An image encoder with a text encoder in the same space, as CLIP, whose text tower can be adapted too.

    The text tower is no child of the module: trainers convert and move children, and class embeddings depend on no
    precision of the image tower.
    """

    @property
    @abstractmethod
    def text_tower(self) -> nn.Module:
        """The frozen text tower, on the CPU in float32."""

    @abstractmethod
    def text_features(self, tower: nn.Module, texts: Sequence[str]) -> Tensor:
        """Features of texts by a text tower; gradients pass through.

        Args:
            tower: The text tower, or an adapted copy of it on any device.
            texts: The texts.

        Returns:
            ``[text, dim_v]``, of any length.

        Raises:
            UsageError: For a text that the tower would cut.
        """

    @abstractmethod
    def unprojected(self, batch: Any) -> Tensor:
        """What the image tower has before its last projection, for one batch.

        Args:
            batch: Result of ``collate``.

        Returns:
            ``[item, dim_u]``; times the weight of ``projection``, plus its bias, it is the prior but for its length.

        Raises:
            UsageError: If the tower does not end with a projection.
        """

    @abstractmethod
    def projection(self) -> tuple[Tensor, Tensor | None]:
        """The last projection of the image tower.

        Returns:
            Weight ``[dim_u, dim_v]``, and bias ``[dim_v]`` where it has one.

        Raises:
            UsageError: If the tower does not end with a projection.
        """
