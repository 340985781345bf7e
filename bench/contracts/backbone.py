"""A backbone: a frozen pretrained model, seen through the few things methods need of it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from bench.contracts.data import Classes
from bench.contracts.kinds import Kind


@dataclass(frozen=True)
class Features:
    """What the frozen model makes of a batch of items.

    keys: ``[item, dim_k]``, L2-normalised.
    prior: ``[item, dim_v]``, in the space of the class values.
    """

    keys: Tensor
    prior: Tensor


class Backbone(nn.Module, ABC):
    """A frozen encoder or language model.

    The harness calls ``prepare`` in data workers, ``encode`` on the device, and caches the result
    under ``fingerprint``; two backbones with equal fingerprints must give equal features.
    """

    kinds: ClassVar[frozenset[Kind]]
    """Task kinds whose inputs it can read."""

    prior_count: float
    """How many labelled examples this backbone's prior is worth, unless a task or config says otherwise."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of the weights and of everything else that changes features (transform, pooling)."""

    @abstractmethod
    def prepare(self, raw: Any) -> Any:
        """One raw input (PIL image or prompt) made ready for ``collate``; runs on the CPU.

        Raises DataError if the input cannot be read.
        """

    @abstractmethod
    def collate(self, prepared: Sequence[Any]) -> Any:
        """Prepared inputs as one batch, on the CPU."""

    @abstractmethod
    def encode(self, batch: Any) -> Features:
        """Keys and priors of one collated batch, on the device of the weights, in float32."""

    @abstractmethod
    def class_values(self, names: Sequence[str], prompts: Sequence[str]) -> Tensor:
        """``[class, dim_v]``: the value of each class.

        names: class names, or the answers of a text task. prompts: the task's, each with ``{label}`` in it;
            several are an ensemble, and a backbone that cannot average them raises UsageError.
        """

    @abstractmethod
    def readout(self, answer: Tensor, classes: Classes) -> Tensor:
        """Scores ``[episode, item, way]`` (logits) of answers ``[episode, item, dim_v]``."""


class LanguageBackbone(Backbone):
    """A decoder language model that can also score answers after a prompt."""

    @abstractmethod
    def score_answers(self, context: str, prompts: Sequence[str], answers: Sequence[str]) -> Tensor:
        """``[prompt, answer]`` log-probabilities of each answer right after ``context + prompt``.

        The context is run once and its key-value cache is shared by all prompts.
        Raises DataError if context, prompt and answer do not fit the model together.
        """

    @abstractmethod
    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text."""

    @property
    @abstractmethod
    def context_length(self) -> int:
        """Number of tokens the model can read at once."""
