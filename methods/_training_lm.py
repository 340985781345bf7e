"""Methods that train through a frozen language model: the loss of what should follow each prompt, and the steps."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from bench.contracts import (
    LANGUAGE,
    Answers,
    Backbone,
    DataError,
    GradientMethod,
    InputMode,
    Kind,
    LanguageBackbone,
    MethodConfig,
    ProblemShape,
    Query,
    Support,
)
from bench.toolkit.seeds import seeded
from methods._adapted import ClippedAdamW

TEXTS_AT_ONCE = 8
"""Texts of a step unless the config says otherwise."""


class TrainingConfig(MethodConfig):
    """What all such methods share; each narrows ``lr`` to what is published for it."""

    lr: float = Field(gt=0, le=1, description="AdamW's initial rate; it falls to 0 along a cosine.")
    steps: int = Field(default=100, ge=1, le=1_000_000, description="Optimizer steps.")
    batch_size: int | None = Field(
        default=None, ge=1, description="Examples per step; by default 8 texts, of images (lora) 32."
    )
    window: int = Field(
        default=256, ge=2, description="Tokens of a text to model that one step reads; a longer text is cut into such."
    )


class LMFineTune(GradientMethod):
    """Cross-entropy of what should follow each prompt, of parameters that a frozen language model's states go through.

    In classification the loss is over the tokens of the answer, in text generation over those of the reference text
    and the separator after it, which teaches the model to stop, and in language modelling over all tokens of a text
    but the first; it is their mean over the batch. Of a text longer than the window, a step reads one window, drawn
    anew. The network stays in evaluation mode, and what is trained is float32 whatever the network's precision.
    """

    kinds = LANGUAGE
    needs_language_model = LANGUAGE
    reads = InputMode.INPUTS
    episodes_at_once = 1
    Config: ClassVar[type[TrainingConfig]] = TrainingConfig
    config: TrainingConfig
    weight_decay: ClassVar[float] = 0.01

    def __init__(self, config: TrainingConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self.steps, self.batch_size = config.steps, config.batch_size or TEXTS_AT_ONCE
        self._step = 0
        # Tokens on the device; to find where a prompt ends, the program waits for it.
        self._windows: dict[str, list[Tensor]] = {}
        self._examples: dict[tuple[str, str], tuple[Tensor, int]] = {}

    batch_size: int

    @property
    @abstractmethod
    def reader(self) -> LanguageBackbone:
        """The model that examples and queries are run through."""

    def ready(self) -> None:
        """Put the network into the mode that a step needs, which is evaluation."""
        self.reader.eval()

    def loss(self, support: Support) -> Tensor:
        """Mean cross-entropy of the batch, see the class; what is random depends on the seed and step alone."""
        self.ready()
        self._step += 1
        with seeded(self.shape.seed + self._step, support.mask.device):
            return self.batch_loss(support)

    def batch_loss(self, support: Support) -> Tensor:
        """Mean cross-entropy over the tokens that are to be learnt. Raises DataError if there is no example."""
        examples = self._texts(support) if self.shape.kind is Kind.LANGUAGE_MODELLING else self._completed(support)
        if not examples:
            raise DataError(f"{type(self).__name__} trains on one example or more, got none")
        ids = pad_sequence([row for row, _ in examples], batch_first=True)
        position = torch.arange(ids.shape[1], device=ids.device)
        lengths = torch.tensor([len(row) for row, _ in examples], device=ids.device)
        firsts = torch.tensor([first for _, first in examples], device=ids.device)
        mask = position < lengths[:, None]
        wanted = (mask & (position >= firsts[:, None]))[:, 1:]
        network: Any = self.reader.causal_lm
        hidden = network.base_model(input_ids=ids, attention_mask=mask.long(), use_cache=False).last_hidden_state
        # The output embedding is large, and most positions are of prompts.
        logits = network.get_output_embeddings()(hidden[:, :-1][wanted])
        return cross_entropy(logits.float(), ids[:, 1:][wanted])

    def _texts(self, support: Support) -> list[tuple[Tensor, int]]:
        """One window of each text, and 1, as nothing stands before its first token."""
        examples = []
        for text in support.inputs.episode(0):
            if text not in self._windows:
                self._windows[text] = [row for row in self._rows(text, self.config.window) if len(row) > 1]
            rows = self._windows[text]
            if not rows:
                raise DataError(f"a text must have two tokens or more to learn from, got {text[:60]!r}")
            examples.append((rows[int(torch.randint(len(rows), ()))], 1))
        return examples

    def _completed(self, support: Support) -> list[tuple[Tensor, int]]:
        """Each prompt with its completion, and where the two part: tokens are those of the joined text."""
        ending = self.shape.separator if self.shape.kind is Kind.TEXT_GENERATION else ""
        examples = []
        for prompt, completion in zip(support.inputs.episode(0), support.completions(0), strict=True):
            if (prompt, completion) not in self._examples:
                self._examples[prompt, completion] = self._example(prompt, completion, ending)
            examples.append(self._examples[prompt, completion])
        return examples

    def _example(self, prompt: str, completion: str, ending: str) -> tuple[Tensor, int]:
        stem, whole = self._row(prompt), self._row(prompt + completion + ending)
        shorter = min(len(stem), len(whole))
        first = int((stem[:shorter] == whole[:shorter]).long().cumprod(0).sum())
        if first == 0 or first == len(whole):
            raise DataError(f"a completion needs a token or more, after one or more of prompt; got {completion!r}")
        return whole, first

    def _rows(self, text: str, window: int | None) -> list[Tensor]:
        batches = self.reader.tokens([text], window)
        return [ids[mask.bool()] for tokens in batches for ids, mask in zip(tokens.ids, tokens.mask, strict=True)]

    def _row(self, text: str) -> Tensor:
        rows = self._rows(text, None)
        if len(rows) > 1:
            room = self.reader.context_length
            raise DataError(
                f"prompt and completion must fit {room} tokens, got {sum(map(len, rows))}: {text[:60]!r}; "
                "use shorter examples or a backbone that reads more"
            )
        return rows[0]

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """AdamW on a cosine, with gradients clipped to norm 1: there is one episode, so nothing is shared by it."""
        # A trainer of lower precision has cast the whole method by now.
        self.in_float32()
        optimizer = ClippedAdamW(self.trained(), lr=self.config.lr, weight_decay=self.weight_decay)
        return optimizer, CosineAnnealingLR(optimizer, T_max=self.config.steps)

    def predict(self, query: Query) -> Answers:
        """What the model answers by now; see Method.predict for the shapes."""
        self.reader.eval()
        return self.reader.answer(query, self.shape.kind, self.shape.protocol)

    def state_bytes(self) -> int:
        """Bytes of what is trained; the network is the backbone's."""
        return sum(parameter.nbytes for parameter in self.trained())

    def trained(self) -> list[Tensor]:
        """The parameters that are trained."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def in_float32(self) -> None:
        """Put what is trained into float32, whatever a trainer or the network's precision has made of it."""
        for parameter in self.trained():
            parameter.data = parameter.data.float()
