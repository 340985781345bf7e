"""The interface of a frozen language model, and the options by which tasks evaluate its answers."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from bench.contracts.backbone import Backbone
from bench.contracts.data import Query
from bench.contracts.kinds import Kind

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
