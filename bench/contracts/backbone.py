"""A backbone: a frozen pretrained model, seen through the few things methods need of it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from bench.contracts.data import Classes, Query
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
    version: ClassVar[str] = ""
    """Part of a record's identity; change it where values change and the code does not, as with a compiled library."""

    prior_strength: float
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
    def class_embeddings(self, names: Sequence[str], prompts: Sequence[str]) -> Tensor:
        """``[class, dim_v]``: the value of each class.

        names: class names, or the answers of a text task. prompts: the task's, each with ``{label}`` in it;
            several are an ensemble, and a backbone that cannot average them raises UsageError.
        """

    @abstractmethod
    def class_logits(self, answer: Tensor, classes: Classes) -> Tensor:
        """Scores ``[episode, item, way]`` (logits) of answers ``[episode, item, dim_v]``."""


@dataclass(frozen=True)
class AnswerProtocol:
    """How a task without classes is answered; see Task for the meaning of the fields."""

    window: int = 1024
    stride: int | None = None
    max_new_tokens: int = 60


Answers = Tensor | list[str]
"""Scores, or texts."""


@dataclass(frozen=True)
class Tokens:
    """Texts as tokens: ``ids`` and ``mask``, ``[text, position]``, padded on the right."""

    ids: Tensor
    mask: Tensor


class LanguageBackbone(Backbone):
    """A decoder language model: it scores answers after a prompt, scores texts, and writes.

    All of this goes through the model's own blocks, so that what a method hooks into them takes part. Texts and prompts
    may be turns of a chat (``bench.toolkit.chat``), which are read as the model's chat template has them; whatever
    reads a text raises UsageError for them if the model has none.
    """

    reserved: int = 0
    """Tokens of the context that an adapted copy keeps for itself, such as virtual ones before every text."""

    @property
    @abstractmethod
    def blocks(self) -> Sequence[nn.Module]:
        """The transformer blocks in order; each is called with the hidden states ``[text, position, dim]`` first."""

    @property
    @abstractmethod
    def final_norm(self) -> nn.Module:
        """The norm between the last block and the output embedding."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Width of a hidden state."""

    @property
    @abstractmethod
    def causal_lm(self) -> nn.Module:
        """The whole network, called with ``input_ids`` and ``attention_mask``; its answer has ``logits``."""

    @property
    def decoder(self) -> Any:
        """The network without its output layer, whose logits are the largest thing in memory; transformers' own."""
        return self.causal_lm.base_model

    @abstractmethod
    def embed(self, ids: Tensor) -> Tensor:
        """Input embeddings ``[text, position, dim]`` of ``ids``."""

    @abstractmethod
    def tokens(self, texts: Sequence[str], window: int | None = None) -> Iterator[Tokens]:
        """Batches of tokenised texts on the device of the weights, texts of like length together.

        window: the most tokens of a row, at most the context length; longer texts are cut into several rows.
        Raises DataError for an empty text.
        """

    @abstractmethod
    def loglikelihood_rolling(self, texts: Sequence[str], window: int, stride: int | None) -> Tensor:
        """``[text, 2]``: summed negative log-likelihood of a text's tokens, and how many were scored; on the CPU.

        A text is read in windows of ``window`` tokens (or the context length, if that is less), ``stride`` apart:
        each token after the first is scored once, in the first window that has it, given the tokens before it there.
        Without a stride, windows do not overlap, and the first token of each is not scored. Raises UsageError for
        windows of less than two tokens, in which nothing can be scored.
        """

    @abstractmethod
    def generate(self, prompts: Sequence[str], max_new_tokens: int) -> list[str]:
        """What the model writes after each prompt, up to the first newline, by beam search with 5 beams."""

    def answer(self, query: Query, kind: Kind, protocol: AnswerProtocol, context: str = "") -> Answers:
        """What the model as it stands answers to the queries of one episode; see Method.predict for the shapes.

        context: text before every prompt.
        """
        texts = query.inputs.episode(0)
        if kind is Kind.TRANSLATION:
            return self.generate([context + text for text in texts], protocol.max_new_tokens)
        if kind is Kind.LANGUAGE_MODELLING:
            return self.loglikelihood_rolling(texts, protocol.window, protocol.stride).unsqueeze(0)
        answers = query.classes.names[0]
        scores = query.prior.new_zeros(*query.mask.shape, len(answers))
        if texts:
            scores[query.mask] = self.loglikelihood(context, texts, answers).to(scores)
        return scores

    @abstractmethod
    def loglikelihood(self, context: str, prompts: Sequence[str], answers: Sequence[str]) -> Tensor:
        """``[prompt, answer]`` log-probabilities of each answer right after ``context + prompt``.

        The context is run once and its key-value cache is shared by all prompts.
        Raises DataError if context, prompt and answer do not fit the model together.
        """

    @abstractmethod
    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text."""

    @property
    @abstractmethod
    def max_positions(self) -> int:
        """Number of tokens the network can read at once."""

    @property
    def context_length(self) -> int:
        """Number of tokens a text can have: all that the network reads, but for what is reserved."""
        return self.max_positions - self.reserved
