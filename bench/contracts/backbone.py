"""Backbone: the interface of a frozen pretrained model."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from bench.contracts.data import Classes, Query
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

        Called once by the program that loads the model. A process whose forks measure loads it without this call,
        because libraries may start threads or an accelerator's driver in a pass, and neither survives a fork.

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


Stride = int | Literal["rolling"] | None
"""Distance of windows, see AnswerProtocol."""


@dataclass(frozen=True)
class AnswerProtocol:
    """Evaluation options of tasks without classes; ``Task`` has the same fields.

    Attributes:
        window: Tokens that are scored at a time in language modelling.
        stride: Tokens from one window to the next; None for windows that do not overlap; "rolling" for those of
            lm-evaluation-harness, in which every token is scored.
        max_new_tokens: Tokens of the longest written answer.
        stop: Texts that end a written answer.
        beams: Beams of the search for an answer; 1 for the likeliest token at each step.
        instruction: Text before the demonstrations and the prompt, once.
    """

    window: int = 1024
    stride: Stride = None
    max_new_tokens: int = 60
    stop: tuple[str, ...] = ("\n",)
    beams: int = 5
    instruction: str = ""

    def instructed(self, context: str = "") -> str:
        """Text before a prompt.

        Args:
            context: What stands between the instruction and the prompt, such as demonstrations.

        Returns:
            The instruction, then the context.
        """
        return self.instruction + context


Answers = Tensor | list[str]
"""Scores, or generated texts."""


@dataclass(frozen=True)
class Tokens:
    """A batch of tokenised texts, padded on the right.

    Attributes:
        ids: ``[text, position]`` token ids.
        mask: ``[text, position]``, 0 for padding.
    """

    ids: Tensor
    mask: Tensor


class LanguageBackbone(Backbone):
    """A decoder language model with log-likelihoods of answers and texts, and generation.

    All of these run through the model's own blocks, so that hooks of a method on the blocks take part. Texts and
    prompts may be turns of a chat (``bench.toolkit.chat``), formatted by the model's chat template; a model without one
    raises UsageError for them.

    Attributes:
        reserved: Tokens of the context that an adapted copy uses itself, such as virtual tokens before every text.
    """

    reserved: int = 0

    @property
    @abstractmethod
    def blocks(self) -> Sequence[nn.Module]:
        """The transformer blocks in order; the first argument of each: hidden states ``[text, position, dim]``."""

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
        """The whole network: ``input_ids`` and ``attention_mask`` in, an output with ``logits`` out."""

    @property
    def decoder(self) -> Any:
        """The network without its output layer, as in transformers; the logits are the largest tensor in memory."""
        return self.causal_lm.base_model

    @abstractmethod
    def embed(self, ids: Tensor) -> Tensor:
        """Input embeddings of tokens.

        Args:
            ids: ``[text, position]`` token ids.

        Returns:
            ``[text, position, dim]``.
        """

    @abstractmethod
    def tokens(self, texts: Sequence[str], window: int | None = None) -> Iterator[Tokens]:
        """Batches of tokenised texts on the device of the weights, with texts of similar length together.

        Args:
            texts: The texts.
            window: Largest number of tokens of a row, at most the context length; longer texts are cut into several
                rows.

        Yields:
            Batches, not in the order of ``texts``.

        Raises:
            DataError: For an empty text.
        """

    @abstractmethod
    def loglikelihood_rolling(self, texts: Sequence[str], window: int, stride: Stride) -> Tensor:
        """Negative log-likelihood of texts in windows.

        Each token after the first is scored once, in the first window that contains it, given the tokens before it in
        that window. Without a stride, windows do not overlap, and the first token of each is not scored. In rolling
        windows every token is scored: the first of a window given the token before it, and the first of a text given
        the token that begins texts, which the tokenizer then does not add.

        Args:
            texts: The texts.
            window: Tokens of a window; the context length where that is smaller.
            stride: Tokens from one window to the next; None for ``window``.

        Returns:
            ``[text, 2]`` on the CPU: the summed negative log-likelihood of a text in nats, and the number of scored
            tokens.

        Raises:
            UsageError: For windows of less than two tokens, in which nothing can be scored.
        """

    @abstractmethod
    def generate(
        self, prompts: Sequence[str], max_new_tokens: int, stop: Sequence[str] = ("\n",), beams: int = 5
    ) -> list[str]:
        """Continuations of prompts by beam search, without the line breaks before them.

        Args:
            prompts: The prompts.
            max_new_tokens: Largest number of tokens of a continuation.
            stop: Texts before the first of which a continuation ends.
            beams: Number of beams; 1 for the likeliest token at each step.

        Returns:
            A text for each prompt.
        """

    def answer(self, query: Query, kind: Kind, protocol: AnswerProtocol, context: str = "") -> Answers:
        """Answers of the model to the queries of one episode.

        Args:
            query: A batch of one episode.
            kind: Kind of the task.
            protocol: Evaluation options of the task.
            context: Text before every prompt, after the instruction of the task.

        Returns:
            Scores or texts, with shapes as in ``Method.predict``.
        """
        texts, context = query.inputs.episode(0), protocol.instructed(context)
        if kind is Kind.TEXT_GENERATION:
            prompts = [context + text for text in texts]
            return self.generate(prompts, protocol.max_new_tokens, protocol.stop, protocol.beams)
        if kind is Kind.LANGUAGE_MODELLING:
            return self.loglikelihood_rolling(texts, protocol.window, protocol.stride).unsqueeze(0)
        answers = query.classes.names[0]
        scores = query.prior.new_zeros(*query.mask.shape, len(answers))
        if texts:
            scores[query.mask] = self.loglikelihood(context, texts, answers).to(scores)
        return scores

    @abstractmethod
    def loglikelihood(self, context: str, prompts: Sequence[str], answers: Sequence[str]) -> Tensor:
        """Log-likelihood of each answer right after ``context + prompt``.

        The context is run once; all prompts share its key-value cache.

        Args:
            context: Text before every prompt.
            prompts: The prompts.
            answers: The answers.

        Returns:
            ``[prompt, answer]`` log-probabilities in nats.

        Raises:
            DataError: If context, prompt and answer together exceed the model's context length.
        """

    @abstractmethod
    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text.

        Args:
            texts: The texts.

        Returns:
            ``[text]``.
        """

    @property
    @abstractmethod
    def max_positions(self) -> int:
        """Largest number of tokens in one forward pass."""

    @property
    def context_length(self) -> int:
        """Largest number of tokens of a text: ``max_positions`` less ``reserved``."""
        return self.max_positions - self.reserved


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
